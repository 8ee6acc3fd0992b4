"""`python -m tests.bench [--write] [name …]`: every benchmark of this folder, or those named.

A run of all of them, or one with `--write`, writes docs/benchmarks.md and its plot.
"""

import argparse
import importlib
import time
import traceback
from typing import Final

from tests.bench import _report
from tests.bench._result import Measured
from tests.bench._size import QUICK

BENCHMARKS: Final = (
    "walk",
    "limits",
    "load",
    "overhead",
    "first_event",
    "cpu",
    "hits",
    "alone",
    "hit_memory",
    "streams",
    "deaf",
    "growth",
    "lookups",
    "availability",
)


def main() -> int:
    """Run them one after the other, so that none disturbs another."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    found = {name: _one(name) for name in asked.names or BENCHMARKS}
    print()
    print(_report.text(found))
    # A quick run's figures mean nothing.
    if asked.write or not (asked.names or QUICK):
        for path in _report.write(found):
            print(f"written: {path}")
    return 1 if any(measured is None for measured in found.values()) else 0


def _one(name: str) -> Measured | None:
    """What a benchmark found; None if it failed, which must not cost the others their figures."""
    print(f"== {name}", flush=True)
    began = time.monotonic()
    try:
        measured: Measured = importlib.import_module(f"tests.bench.{name}").measure()
    except Exception:
        traceback.print_exc()
        return None
    print(_report.rows_text(measured.rows))
    print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    return measured


if __name__ == "__main__":
    raise SystemExit(main())
