"""Throughput and latency of lookups that miss, with ever more of them under way at once.

The same lookups as in `walk`, of our services alone, limits off. This is what the plot shows. Of
three rounds over all loads, up and down, the fastest of each load.
"""

import uvloop

from tests.bench._ask import Timed, looked_up, people
from tests.bench._result import Measured, Point, Table
from tests.bench._size import TIMES, size
from tests.bench._stand import running

LOADS = (1, 2, 4, 8, 16, 32, 64, 128)


def measure() -> Measured:
    """A point for each load."""
    found: dict[int, Timed] = {}
    with running() as stand:
        gateway = stand.services.gateway
        uvloop.run(looked_up(gateway, people(size(400, 64)), 64))
        for turn in range(TIMES):
            for at_once in LOADS[:: -1 if turn % 2 else 1]:
                number = max(at_once * size(12, 1), size(150, 16))
                timed = uvloop.run(looked_up(gateway, people(number), at_once))
                if at_once not in found or timed.per_s > found[at_once].per_s:
                    found[at_once] = timed
    points = [Point(n, found[n].per_s, found[n].p50_ms, found[n].p99_ms) for n in LOADS]
    lines = [
        (str(p.at_once), f"{p.per_s:.1f}", f"{p.p50_ms:.1f}", f"{p.p99_ms:.1f}") for p in points
    ]
    head = ("at once", "a second", "p50 ms", "p99 ms")
    return Measured(tables=[Table("Lookups that miss", head, lines)], points=points)
