"""The processor time of a lookup that misses, by process, and what Redis keeps of it.

User and system time of the broker, Redis and every service, from /proc, while lookups as in `walk`
run, 64 at once; the simulated providers and the client are left out. Of three rounds the one that
took least. Redis' bytes are what its `used_memory` grew by, right after a round.
"""

import time

import uvloop

from tests.bench import _cpu
from tests.bench._ask import looked_up, people
from tests.bench._result import Measured, Row, Table, shown, within
from tests.bench._size import AT_ONCE, TIMES, size
from tests.bench._stand import Stand, running


def measure() -> Measured:
    """Milliseconds of processor time, and bytes."""
    number = size(1500, 128)
    with running() as stand:
        uvloop.run(looked_up(stand.services.gateway, people(size(400, AT_ONCE)), AT_ONCE))
        rounds = [_round(stand, number) for _ in range(TIMES)]
    by_process = min((used for used, _ in rounds), key=lambda used: sum(used.values()))
    kept = min(grown for _, grown in rounds)
    lines = [(name, f"{used:.2f}") for name, used in by_process.items()]
    total = sum(by_process.values())
    return Measured(
        [
            within("processor time of a lookup that misses", total, 8, "ms"),
            Row("bytes in Redis of a lookup that misses", shown(kept, "bytes")),
        ],
        [Table("Processor time of a lookup, ms by process", ("process", "ms"), lines)],
    )


def _round(stand: Stand, number: int) -> tuple[dict[str, float], float]:
    """Milliseconds by process, and bytes, of one lookup."""
    held, before = stand.redis_bytes(), _cpu.spent(stand)
    uvloop.run(looked_up(stand.services.gateway, people(number), AT_ONCE))
    used = _cpu.since(stand, before)
    # Buffers of connections are given back, and what a lookup leaves to be done is done.
    time.sleep(1)
    grown = (stand.redis_bytes() - held) / number
    return {name: seconds * 1000 / number for name, seconds in used.items()}, grown
