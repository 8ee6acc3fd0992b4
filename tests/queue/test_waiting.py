"""A lookup that waits for its limit is told so once, and a queue that is idle costs nothing."""

import asyncio
import json
import subprocess
import time
from contextlib import suppress
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from shared.limits import Limit, Limiter, Permit
from shared.link import HEARTBEAT
from tests.arena import RABBITMQCTL, Arena, Arenas
from tests.queue.asker import ceps
from tests.queue.conftest import Stand, Stands

# Longer than anything would poll, shorter than the 7.5 s between two heartbeats of a connection.
WATCHED: Final = 4.0


async def test_a_lookup_that_waits_is_told_until_when_once_and_then_comes(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, RATE_ENDERECO="2/2s")
    tasks = []
    for place, cep in enumerate(ceps(6), 1):
        tasks.append(await stand.asker.ask(cep))
        await stand.until_waiting(place)
    await stand.start("endereco", "analyzer")
    for task in tasks:
        await stand.asker.ended(task)
    for task in tasks[:2]:
        assert stand.asker.types(task) == ["iniciado", "endereco", "analysis", "completo"]
    turns = []
    for task in tasks[2:]:
        _, waits, comes, *_ = stand.asker.told(task)
        assert stand.asker.types(task) == [
            "iniciado", "aguardando", "endereco", "analysis", "completo",
        ]  # fmt: skip
        assert waits["dados"]["etapa"] == "endereco"
        retry_at = waits["dados"]["retry_at"]
        assert waits["timestamp"] < retry_at
        turns.append(datetime.fromisoformat(retry_at))
        assert comes["situacao"] == "ok"
    assert [round((turn - turns[0]).total_seconds()) for turn in turns] == [0, 0, 2, 2]
    assert stand.asker.repeats == []


async def test_a_limited_queue_that_is_empty_or_blocked_is_not_polled(
    arenas: Arenas, stands: Stands
) -> None:
    stand = await stands.up(arenas.new(), "endereco", "endereco.2", RATE_ENDERECO="1/day")
    assert await _traffic(arenas, stand) == ([], 0)
    # The day's only permit: no longer out, so that it cannot come back unused.
    limiter, spent = Limiter(stand.store), Permit(Limit.parse("stage.endereco", "1/day"), used=True)
    assert await limiter.acquire(spent) == 0
    await limiter.settle(spent)
    [cep] = ceps(1)
    await stand.asker.ask(cep, prazo=900)
    await stand.until_waiting(1)
    assert await _traffic(arenas, stand) == ([], 0)


async def _traffic(arenas: Arenas, stand: Stand) -> tuple[list[str], int]:
    """Commands about its permits, and packets beyond heartbeats, while nothing happens.

    The packets are of the connections that take from the queue, by the broker's own count.
    """
    began = time.monotonic()
    before = await asyncio.to_thread(_packets, arenas, stand)
    commands = await _commands(stand, "consulta:permits:stage.endereco")
    after = await asyncio.to_thread(_packets, arenas, stand)
    heartbeats = 1 + int((time.monotonic() - began) / (HEARTBEAT / 2))
    assert len(after) == 2
    return commands, sum(max(0, after[pid] - before[pid] - heartbeats) for pid in after)


async def _commands(stand: Stand, about: str) -> list[str]:
    seen = []
    async with stand.store.redis.monitor() as monitor:
        with suppress(TimeoutError):
            async with asyncio.timeout(WATCHED):
                async for command in monitor.listen():
                    if about in command["command"]:
                        seen.append(command["command"])  # noqa: PERF401 - kept at the timeout
    return seen


def _packets(arenas: Arenas, stand: Stand) -> dict[str, int]:
    """Received by the broker so far, by connection."""
    columns = ["pid", "vhost", "client_properties", "recv_cnt"]
    command = [RABBITMQCTL, "--quiet", "list_connections", *columns, "--formatter", "json"]
    env = arenas.rabbit.env
    done = subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)
    host = urlsplit(stand.services.env["AMQP_URL"]).path.removeprefix("/")
    return {
        connection["pid"]: connection["recv_cnt"]
        for connection in json.loads(done.stdout)
        if connection["vhost"] == host
        and "take stage.endereco" in str(connection["client_properties"])
    }
