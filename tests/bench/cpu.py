"""The processor time of a lookup that misses, by process, and what Redis keeps of it.

User and system time of the broker, Redis and every service, from /proc, while lookups as in `walk`
run, 64 at once; the simulated providers and the client are left out. Beside it that of the
skeleton of `walk`, which says where the floor is. Of three rounds of each, in turn, the one that
took least. Redis' bytes are what its `used_memory` grew by, right after a round.
"""

import time
from collections.abc import Mapping

from tests.bench import _cpu
from tests.bench._ask import people
from tests.bench._peers import LookUp, ours, skeleton
from tests.bench._result import Measured, Row, Table, shown, within
from tests.bench._size import AT_ONCE, TIMES, size
from tests.bench._stand import Stand, running


def measure() -> Measured:
    """Milliseconds of processor time, and bytes."""
    whole: list[dict[str, float]] = []
    bare: list[dict[str, float]] = []
    kept: list[float] = []
    with running("simulator") as stand:
        for _ in range(TIMES):
            with ours(stand) as look_up:
                used, grown = _round(stand, look_up, _cpu.ours(stand))
                whole.append(used)
                kept.append(grown)
            with skeleton(stand) as bones:
                used, _ = _round(stand, bones, {**_cpu.servers(stand), **bones.processes})
                bare.append(used)
    ours_ms, skeleton_ms = (_least(rounds) for rounds in (whole, bare))
    lines = [
        (name, f"{ms:.2f}", f"{skeleton_ms[name]:.2f}" if name in skeleton_ms else "")
        for name, ms in ours_ms.items()
    ]
    floor = f"of its skeleton: {shown(skeleton_ms['all'], 'ms')}"
    return Measured(
        [
            within("processor time of a lookup that misses", ours_ms["all"], 8, "ms", floor),
            Row("bytes in Redis of a lookup that misses", shown(min(kept), "bytes")),
        ],
        [Table("Processor time of a lookup, ms", ("process", "ours", "skeleton"), lines)],
    )


def _round(
    stand: Stand, look_up: LookUp, processes: Mapping[str, int]
) -> tuple[dict[str, float], float]:
    """Milliseconds by process, and bytes, of one lookup."""
    number = size(1500, 128)
    look_up(people(size(400, AT_ONCE)))
    held, before = stand.redis_bytes(), _cpu.spent(processes)
    look_up(people(number))
    used = _cpu.since(before, processes)
    # Buffers of connections are given back, and what a lookup leaves to be done is done.
    time.sleep(1)
    grown = (stand.redis_bytes() - held) / number
    return {name: seconds * 1000 / number for name, seconds in used.items()}, grown


def _least(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The round that took least, with its sum."""
    least = min(rounds, key=lambda used: sum(used.values()))
    return {**least, "all": sum(least.values())}
