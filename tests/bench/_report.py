"""The figures as text, and as docs/benchmarks.md."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.bench import _machine, _plot
from tests.bench._result import Measured, Row
from tests.services import ROOT

PAGE: Final = ROOT / "docs" / "benchmarks.md"
PLOT: Final = PAGE.with_suffix(".svg")
HEAD: Final = ("figure", "ours", "yardstick", "ratio", "goal", "met")

_ABOUT: Final = """\
Written by `make bench`. What a figure is compared with was measured in the same run, in turn with
it; a ratio is ours over the yardstick's. Where a goal is not met, [decision
25](decisions/25-floors.md) says what was tried, and where the floor is."""
_RUN: Final = """\
`make bench` installs Celery, Taskiq, matplotlib and wrk, starts servers of its own, and writes
this page and its plot; nothing else should run on the machine meanwhile. `.venv/bin/python -m
tests.bench walk hits` measures only those, and writes nothing. `BENCH_QUICK=1 make bench` shows in
a few minutes that all of it works: its figures mean nothing and are not written down.
`BENCH_QUEUED=100,10000` has `growth` measure with so many queued."""

# What was found by the name of the benchmark; None of one that failed.
Found = Mapping[str, Measured | None]


def text(found: Found) -> str:
    """The table of all figures, and the tables of single ones."""
    parts = [rows_text(row for measured in found.values() if measured for row in measured.rows)]
    tables = [table for measured in found.values() if measured for table in measured.tables]
    parts += [f"{table.title}\n{_columns([table.head, *table.lines])}" for table in tables]
    if failed := [name for name, measured in found.items() if measured is None]:
        parts.append(f"not measured, see above: {', '.join(failed)}")
    return "\n\n".join(parts)


def rows_text(rows: Iterable[Row]) -> str:
    """Figures below each other."""
    lines = list(map(_cells, rows))
    return _columns([HEAD, *lines]) if lines else ""


def write(found: Found) -> list[Path]:
    """Write the page, and the plot if its figures were measured."""
    points = [point for measured in found.values() if measured for point in measured.points]
    if points:
        _plot.draw(points, PLOT)
    rows = [row for measured in found.values() if measured for row in measured.rows]
    parts = [
        "# Benchmarks",
        _ABOUT,
        _markdown(("", ""), [*_machine.described().items(), ("date", _today())]),
        _markdown(HEAD, list(map(_cells, rows))),
        *([f"![Throughput and latency over load]({PLOT.name})"] if points else []),
        "## Each figure",
        *(_section(name, measured) for name, measured in found.items()),
        "## Run it",
        _RUN,
    ]
    PAGE.write_text("\n\n".join(parts) + "\n")
    return [PAGE, PLOT] if points else [PAGE]


def _section(name: str, measured: Measured | None) -> str:
    """What a benchmark says of itself, and its tables."""
    about = importlib.import_module(f"tests.bench.{name}").__doc__ or ""
    parts = [f"### {name}", about.strip()]
    if measured is None:
        parts.append("**It failed in this run, and has no figures here.**")
    for table in measured.tables if measured else ():
        parts += [f"{table.title}:", _markdown(table.head, table.lines)]
    return "\n\n".join(parts)


def _cells(row: Row) -> Sequence[str]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    met = {None: "", True: "yes", False: "no"}[row.met]
    return row.name, row.ours, row.yardstick, ratio, row.goal, met


def _columns(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def _today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")
