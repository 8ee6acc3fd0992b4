"""The command line: each command a file with `add`, which says what it takes, and `run`.

Exit codes: 0 done, 1 it failed, 2 used wrongly, 130 interrupted.
"""
