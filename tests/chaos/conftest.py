"""The stack to be killed, and the table of what happened, printed at the end of the run."""

import logging
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields

import pytest

from tests.chaos.stack import Stack


@dataclass
class Row:
    """One victim's load. The names of the fields are the heads of the table."""

    victim: str
    lookups: int
    refused: int
    completed: int
    reconnects: int
    longest_ms: int
    told_twice_on_bus: int
    provider_asked_twice: int
    dead_letters: int


_ROWS: pytest.StashKey[list[Row]] = pytest.StashKey()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Apart from the servers of the other tests, which must not notice."""
    # Of each connection that breaks, of which there are many and meant, it logs a traceback.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    try:
        with Stack(tmp_path_factory.mktemp("chaos")) as stack:
            yield stack
    finally:
        logging.getLogger("aiormq").setLevel(logging.NOTSET)


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
    heads = [field.name.replace("_", " ") for field in fields(Row)]
    lines = [heads, *([str(value) for value in astuple(row)] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    terminalreporter.section("killed with SIGKILL under load")
    for line in lines:
        cells = [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
        terminalreporter.write_line("  ".join([line[0].ljust(widths[0]), *cells]))
