"""Whether a lookup costs more the more are queued: with 100, 10,000 and 100,000 waiting behind it.

The lookups are accepted and planned while no enricher runs. Then the enrichers start, the first
hundred lookups warm them up, and the next 500 are what is measured: the seconds from one end to the
next, and the processor time of broker, Redis and services (client and simulated providers left
out). What is queued is what is left after that. Medians of three rounds; before each the enrichers
are stopped and what was done is queued anew. The yardstick is measured before and after all else.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import uvloop

from tests.bench import _cpu
from tests.bench._ask import people, session
from tests.bench._completed import Completed
from tests.bench._hits import order
from tests.bench._result import Measured, Row, Table, at_most
from tests.bench._size import TIMES, size
from tests.bench._stand import Stand, running
from tests.services import ENRICHERS

QUEUED: Final = tuple(
    int(number)
    for number in os.environ.get(
        "BENCH_QUEUED", "100,400" if size(0, 1) else "100,10000,100000"
    ).split(",")
)
WARM: Final = size(100, 20)
DRAINED: Final = size(500, 60)
# A day: none of them ends before its turn.
PRAZO: Final = 86_400


@dataclass(frozen=True)
class Cost:
    """Of one lookup, in milliseconds."""

    cpu_ms: float
    took_ms: float


def measure() -> Measured:
    """The cost with each number queued, against that with the fewest."""
    least, *others = sorted(QUEUED)
    found = _costs([least, *others])
    found[least] = _median([found[least], _costs([least])[least]])
    rows: list[Row] = []
    for number in others:
        name = f"with {number} queued, against {least}"
        ours, yardstick = found[number], found[least]
        rows += [
            at_most(f"processor time {name}", ours.cpu_ms, yardstick.cpu_ms, 1.2, "ms"),
            at_most(f"time of a lookup {name}", ours.took_ms, yardstick.took_ms, 1.2, "ms"),
        ]
    lines = [(f"{n}", f"{c.cpu_ms:.2f}", f"{c.took_ms:.2f}") for n, c in sorted(found.items())]
    head = ("queued", "processor ms", "ms from end to end")
    return Measured(rows, [Table("Cost of a lookup", head, lines)])


def _costs(numbers: Sequence[int]) -> dict[int, Cost]:
    """Of each number, on servers of their own."""
    with running() as stand:
        return uvloop.run(_grown(stand, numbers))


async def _grown(stand: Stand, numbers: Sequence[int]) -> dict[int, Cost]:
    found = {}
    waiting = 0
    async with Completed(stand.services) as completed:
        for number in numbers:
            rounds = []
            for _ in range(TIMES):
                await asyncio.to_thread(stand.services.stop, *ENRICHERS)
                # Those in hand at the end of a round were finished all the same.
                missing = number + WARM + DRAINED - (waiting - await completed.look())
                await order(stand, people(missing), PRAZO)
                waiting += missing
                await _planned(stand)
                rounds.append(await _drained(stand, completed))
            found[number] = _median(rounds)
            cost = found[number]
            print(f"  {number} queued: {cost.cpu_ms:.1f} ms, {cost.took_ms:.1f} ms", flush=True)
    return found


async def _drained(stand: Stand, completed: Completed) -> Cost:
    """Start the enrichers, and see what the first lookups cost."""
    already = await completed.look()
    await asyncio.to_thread(stand.services.start, *ENRICHERS)
    first = await completed.reaches(already + WARM)
    before, began = _cpu.spent(_cpu.ours(stand)), time.perf_counter()
    done = await completed.reaches(first + DRAINED) - first
    took = time.perf_counter() - began
    used = sum(_cpu.since(before, _cpu.ours(stand)).values())
    return Cost(used * 1000 / done, took * 1000 / done)


async def _planned(stand: Stand) -> None:
    """Wait until all that was accepted is planned: until the queues' depths no longer change."""
    before: list[int] = []
    async with session() as http:
        while len(before) < 5 or len(set(before[-5:])) > 1:
            async with http.get(f"{stand.services.gateway}/api/filas") as answer:
                before.append((await answer.json())["tasks_reservadas"])
            await asyncio.sleep(0.5)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.cpu_ms for cost in costs),
        statistics.median(cost.took_ms for cost in costs),
    )
