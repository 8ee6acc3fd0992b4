"""What a benchmark hands back: rows for the table of figures, and tables of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """A figure beside its yardstick of the same run. `ratio` is ours over the yardstick's.

    A figure without a goal is there to be seen; one with a goal on itself has no ratio.
    """

    name: str
    ours: str
    yardstick: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Table:
    """More than a figure has room for."""

    title: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Point:
    """Throughput (a second) and latency (ms) of lookups with so many under way at once."""

    at_once: int
    per_s: float
    p50_ms: float
    p99_ms: float


@dataclass
class Measured:
    """All that one benchmark found."""

    rows: list[Row] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


def at_least(name: str, ours: float, yardstick: float, goal: float, unit: str) -> Row:
    """More is better: ours is to be so many times the yardstick's."""
    ratio = ours / yardstick
    return Row(
        name, shown(ours, unit), shown(yardstick, unit), ratio, f"≥ {goal:g} times", ratio >= goal
    )


def at_most(name: str, ours: float, yardstick: float, goal: float, unit: str) -> Row:
    """Less is better."""
    ratio = ours / yardstick
    return Row(
        name, shown(ours, unit), shown(yardstick, unit), ratio, f"≤ {goal:g} times", ratio <= goal
    )


def beside(name: str, ours: float, yardstick: float, unit: str) -> Row:
    """Without a goal."""
    return Row(name, shown(ours, unit), shown(yardstick, unit), ours / yardstick)


def within(name: str, ours: float, goal: float, unit: str, yardstick: str = "") -> Row:
    """A goal on the figure itself."""
    return Row(name, shown(ours, unit), yardstick, None, f"≤ {shown(goal, unit)}", ours <= goal)


def shown(value: float, unit: str) -> str:
    """A figure with three digits that say something."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".replace(",", " ")
