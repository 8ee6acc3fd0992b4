"""Open streams: how many events a second reach 2,000 of them, and what one takes of memory.

Each stream is of another lookup. The events are written down and told, one by one as services tell
them, while the gateway is stopped (SIGSTOP); the time counts from its continuation until every
listener has had every event, so that the gateway is measured and not who tells. The yardstick is an
aiohttp server that does nothing but write the same events to as many open streams, in one loop.
Memory is what a process grows by for 5,000 open streams on which nothing happens; the kernel's part
of a socket is not in it.
"""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import aiohttp
import uvloop

from deploy.local.ports import free_port
from gateway.sse import frame, head_of
from shared.messages import addressed, encode
from shared.reporter import event
from tests.bench._listeners import Tally, hang_up, listen
from tests.bench._result import Measured, at_least, at_most
from tests.bench._size import TIMES, size
from tests.bench._stage import PATIENCE, Stage, batched, settled_kb, staged
from tests.bench._stand import Stand, running

STREAMS: Final = size(5000, 500)
TOLD: Final = size(2000, 200)
ROUNDS: Final = 10
# What is allocated once, for the first streams there ever are, is no stream's cost.
WARM: Final = size(500, 100)
_EVENT: Final = event("aguardando", {"etapa": "endereco", "texto": "x" * 300})


def measure() -> Measured:
    """Events a second, and kilobytes."""
    port = free_port()
    with (
        running("gateway", MAX_STREAMS_PER_CLIENT="20000") as stand,
        stand.helper("bare", ["tests.bench._bare", str(port)]) as bare,
    ):
        url = f"http://127.0.0.1:{port}"
        return uvloop.run(_measure(stand, url, bare.pid or 0))


async def _measure(stand: Stand, bare: str, bare_pid: int) -> Measured:
    async with staged(stand.services) as stage:
        await _until_up(bare)
        ours = await _memory(stage.services.gateway, stage.services.pid("gateway"), stage)
        theirs = await _memory(bare, bare_pid)
        both: list[tuple[float, float]] = []
        for turn in range(TIMES):
            if turn % 2:
                both.append((await _told(stage), await _told_bare(bare)))
            else:
                other = await _told_bare(bare)
                both.append((await _told(stage), other))
    best, bare_best = (max(kind) for kind in zip(*both, strict=True))
    many = f"{TOLD:,}".replace(",", " ")
    return Measured(
        [
            at_least(f"events to {many} streams", best, bare_best, 0.7, "/s"),
            at_most("memory of an open stream", ours, theirs, 1.3, "KB"),
        ]
    )


async def _memory(url: str, pid: int, stage: Stage | None = None) -> float:
    """Kilobytes of a stream on which nothing happens."""
    paths: Sequence[str] = ["/"] * STREAMS if stage is None else list(await stage.lookups(STREAMS))
    grown = []
    for number in (WARM, STREAMS):
        before = await settled_kb(pid)
        tally = Tally()
        listeners = await listen(url, paths[:number], tally)
        # Of ours the first event, which says that it has begun, has been read by then.
        await tally.reaches(0 if stage is None else number, PATIENCE)
        grown.append(await settled_kb(pid) - before)
        hang_up(listeners)
        if stage is not None:
            await stage.until_open(0)
    return grown[-1] / STREAMS


async def _told(stage: Stage) -> float:
    """Events a second from the bus to the listeners of as many lookups."""
    flights, tally = await stage.lookups(TOLD), Tally()
    listeners = await listen(stage.services.gateway, list(flights), tally)
    await tally.reaches(TOLD, PATIENCE)

    pid = stage.services.pid("gateway")
    os.kill(pid, signal.SIGSTOP)
    try:
        for number in range(ROUNDS):
            await batched(partial(_tell, stage, f"round {number}"), list(flights.values()))
        began = time.perf_counter()
    finally:
        os.kill(pid, signal.SIGCONT)
    await tally.reaches((ROUNDS + 1) * TOLD, PATIENCE)
    took = time.perf_counter() - began
    assert {listener.seen for listener in listeners} == {ROUNDS + 1}
    hang_up(listeners)
    await stage.until_open(0)
    return ROUNDS * TOLD / took


async def _tell(stage: Stage, step: str, flight: str) -> None:
    await stage.backstage.tell(flight, step, _EVENT)


async def _told_bare(url: str) -> float:
    """Events a second from a loop to as many listeners."""
    body = addressed(encode(_EVENT), "0" * 36, 2)
    tally = Tally()
    listeners = await listen(url, ["/"] * TOLD, tally)
    async with aiohttp.ClientSession() as http:
        began = time.perf_counter()
        told = http.post(f"{url}/?rounds={ROUNDS}", data=frame(head_of(body), body))
        async with told as answer:
            assert answer.status == 200
        await tally.reaches(ROUNDS * TOLD, PATIENCE)
        took = time.perf_counter() - began
    hang_up(listeners)
    return ROUNDS * TOLD / took


async def _until_up(url: str) -> None:
    """Wait for the bare server."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                hang_up(await listen(url, ["/"], Tally()))
            except OSError:
                await asyncio.sleep(0.1)
            else:
                return
