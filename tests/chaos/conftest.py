"""The stack something happens to, and the table of what became of it, printed at the end."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import astuple, fields
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.judge import Row
from tests.chaos.stack import Stack

_ROWS: pytest.StashKey[list[Row]] = pytest.StashKey()
_HELD_S: Final = 30.0


class Stacks:
    """One stack for as long as it is sound: what a row that failed left proves nothing."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._stack: Stack | None = None

    def sound(self) -> Stack:
        """The running one, or a new one in its place."""
        if self._stack is not None and not self._stack.is_sound:
            self.close()
        if self._stack is None:
            self._stack = Stack(self._folder()).__enter__()
        return self._stack

    def close(self) -> None:
        """End it. Nothing may be wrong with one that is thought to be sound."""
        stack, self._stack = self._stack, None
        if stack is None:
            return
        if not stack.is_sound:
            with suppress(AssertionError):
                stack.stop()
            return
        try:
            _nothing_is_held(stack)
        finally:
            stack.stop()


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    """Apart from the servers of the other tests, which must not notice."""
    # Of each connection that breaks, of which there are many and meant, it logs a traceback.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    stacks = Stacks(lambda: tmp_path_factory.mktemp("chaos"))
    try:
        yield stacks
    finally:
        stacks.close()
        logging.getLogger("aiormq").setLevel(logging.NOTSET)


@pytest.fixture
def stack(stacks: Stacks) -> Stack:
    """One that has stood everything so far."""
    return stacks.sound()


@pytest.fixture
def table(pytestconfig: pytest.Config) -> list[Row]:
    """The rows so far."""
    return pytestconfig.stash.setdefault(_ROWS, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    rows.sort(key=lambda row: row.fault)
    heads = [field.name.replace("_", " ") for field in fields(Row)]
    lines = [heads, *([str(value) for value in astuple(row)] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    terminalreporter.section("what became of each load")
    for line in lines:
        cells = [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
        terminalreporter.write_line("  ".join([line[0].ljust(widths[0]), *cells]))


def _nothing_is_held(stack: Stack) -> None:
    """A message still in a consumer's hands would come back to another one months later."""
    end = time.monotonic() + _HELD_S
    while held := stack.held():
        assert time.monotonic() < end, f"still held by a consumer: {held}"
