"""The plot of throughput and latency over load."""

from collections.abc import Sequence
from pathlib import Path

from tests.bench._result import Point


def draw(points: Sequence[Point], path: Path) -> None:
    """Draw both over the number of lookups at once, one above the other."""
    # Only a run that draws has it.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("svg")
    # Text stays text, and the same figures give the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "consulta"})
    from matplotlib import pyplot  # noqa: PLC0415

    figure, (upper, lower) = pyplot.subplots(2, 1, sharex=True, figsize=(7, 6))
    at_once = [point.at_once for point in points]
    upper.plot(at_once, [point.per_s for point in points], marker="o", color="tab:blue")
    upper.set_ylabel("lookups a second")
    upper.set_ylim(bottom=0)
    for label, values, color in (
        ("p50", [point.p50_ms for point in points], "tab:green"),
        ("p99", [point.p99_ms for point in points], "tab:red"),
    ):
        lower.plot(at_once, values, marker="o", color=color, label=label)
    lower.set_ylabel("ms to the end")
    lower.set_yscale("log")
    lower.legend()
    lower.set_xlabel("lookups at once, all of which miss")
    lower.set_xscale("log", base=2)
    lower.set_xticks(at_once, [str(number) for number in at_once])
    for axes in (upper, lower):
        axes.grid(visible=True, alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
