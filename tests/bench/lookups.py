"""What asking here is worth, against a program that asks the providers itself.

The yardstick is what the mission starts from: a program that calls the three providers of a CPF
one after the other, with 25 workers, against the same simulated providers, which take as long as
providers do (half a second to 1.2 seconds). Misses are asked for all at once; hits 32 at once, and
one at a time, over the stream.
"""

from collections.abc import Sequence

import uvloop

from tests.bench._ask import Timed, looked_up, paced, people, session
from tests.bench._result import Measured, Row, Table, shown
from tests.bench._size import size
from tests.bench._stand import Stand, running
from tests.bench._work import STAGES, asked

WORKERS = 25
# As the simulator has them by default.
PROVIDER_MS = {"telegram": 500, "bridge_endereco": 1200, "bridge_telefone": 800}


def measure() -> Measured:
    """How many times faster, and how many times as many."""
    with running() as stand:
        for provider, milliseconds in PROVIDER_MS.items():
            stand.latency(milliseconds, provider)
        found = uvloop.run(_measure(stand))
    direct, misses, hits, alone = found.values()
    lines = [
        (name, f"{timed.p50_ms:.1f}", f"{timed.p99_ms:.1f}", f"{timed.per_s:.1f}")
        for name, timed in found.items()
    ]
    faster = direct.p50_ms / alone.p50_ms
    return Measured(
        [
            Row(
                "how many times faster a hit is, median",
                shown(alone.p50_ms, "ms"),
                shown(direct.p50_ms, "ms"),
                faster,
            ),
            _more("misses a second, against asking directly", misses, direct),
            _more("hits a second, against asking directly", hits, direct),
        ],
        [Table("Lookups", ("", "p50 ms", "p99 ms", "a second"), lines)],
    )


async def _measure(stand: Stand) -> dict[str, Timed]:
    gateway = stand.services.gateway
    some = people(size(600, 60))
    return {
        f"providers directly, {WORKERS} workers": await _direct(stand, people(size(50, 25))),
        "lookups that miss": await looked_up(gateway, some, len(some)),
        "lookups that hit": await looked_up(gateway, some * 4, 32),
        "lookups that hit, one at a time": await looked_up(gateway, some, 1),
    }


async def _direct(stand: Stand, items: Sequence[str]) -> Timed:
    async with session() as http:

        async def one(cpf: str) -> None:
            for stage in STAGES:
                await asked(http, stand.services.simulator, stage, cpf)

        return await paced(one, items, WORKERS)


def _more(name: str, ours: Timed, direct: Timed) -> Row:
    return Row(name, shown(ours.per_s, "/s"), shown(direct.per_s, "/s"), ours.per_s / direct.per_s)
