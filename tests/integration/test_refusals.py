"""What RabbitMQ refuses for good ends whoever needs it, with the one line that mends it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import aio_pika
import pytest

from consulta.bus import BusClient
from consulta.errors import Refused
from shared.bus import Bus
from shared.errors import BusRefused
from shared.topology import ANALYSIS, EVENTS
from tests.arena import RABBITMQCTL, Arena, Arenas
from tests.services import ROOT

PATIENCE = 60


async def refusal(url: str) -> str:
    """What a bus is refused; the same for whoever publishes."""
    async with asyncio.timeout(PATIENCE), Bus(url, "tests") as bus:
        line = str(await bus.refusal())
        with pytest.raises(BusRefused) as refused:
            await bus.publish(EVENTS, "tests", b"{}")
        assert str(refused.value) == line
        assert not bus.is_up
        return line


def with_password(url: str, password: str) -> str:
    user, _, rest = url.removeprefix("amqp://").partition("@")
    return f"amqp://{user.partition(':')[0]}:{password}@{rest}"


def where(arenas: Arenas) -> str:
    return f"127.0.0.1:{arenas.rabbit.port}"


async def other_queue(arena: Arena) -> None:
    """A queue of our name that is made otherwise."""
    async with await aio_pika.connect(arena.amqp_url) as connection:
        await (await connection.channel()).declare_queue(ANALYSIS.name, durable=True)


async def test_a_wrong_password(arena: Arena, arenas: Arenas) -> None:
    line = await refusal(with_password(arena.amqp_url, "s3cr3t"))
    assert line == f"{where(arenas)} refuses the user or password; correct them"


async def test_a_virtual_host_that_does_not_exist(arenas: Arenas) -> None:
    line = await refusal(f"{arenas.rabbit.url}no-such")
    assert line.startswith(f"{where(arenas)} does not open the virtual host")
    assert "add_vhost" in line
    assert arenas.rabbit.password not in line


async def test_a_queue_that_exists_with_other_arguments(arena: Arena, arenas: Arenas) -> None:
    await other_queue(arena)
    line = await refusal(arena.amqp_url)
    assert line.startswith(f"{where(arenas)} has it already, and otherwise: inequivalent arg")
    assert "'analysis.requested'" in line
    assert "delete_queue" in line
    assert arenas.rabbit.password not in line


async def test_a_user_without_the_right_to_configure(arena: Arena, arenas: Arenas) -> None:
    vhost = arena.amqp_url.rpartition("/")[2]
    command = (
        'rabbit_auth_backend_internal:add_user(<<"weak">>, <<"w3ak">>, <<"tests">>), '
        "rabbit_auth_backend_internal:set_permissions("
        f'<<"weak">>, <<"{vhost}">>, <<"">>, <<".*">>, <<".*">>, <<"tests">>).'
    )
    await asyncio.to_thread(
        subprocess.run, [RABBITMQCTL, "--quiet", "eval", command],
        env=arenas.rabbit.env, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    url = f"amqp://weak:w3ak@{where(arenas)}/{vhost}"
    line = await refusal(url)
    assert line.startswith(f"{where(arenas)} denies a right: ")
    assert "'lookups'" in line
    assert "'weak'" in line
    assert "set_permissions" in line
    assert "w3ak" not in line


async def test_a_client_of_the_bus_is_told_at_once(arena: Arena) -> None:
    url = with_password(arena.amqp_url, "s3cr3t")
    async with asyncio.timeout(PATIENCE), BusClient(url, origin="billing") as lookups:
        with pytest.raises(Refused, match="refuses the user or password") as refused:
            await anext(lookups.request("cpf", "111.444.777-35"))
    assert "s3cr3t" not in str(refused.value)


async def test_a_service_ends_with_the_line(arena: Arena, arenas: Arenas, tmp_path: Path) -> None:
    await other_queue(arena)
    env = {
        "PATH": os.environ["PATH"],
        "AMQP_URL": arena.amqp_url,
        "REDIS_URL": arena.redis_url,
        "ANALYZER_OPS_PORT": "0",
    }
    process = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "analyzer"], cwd=ROOT, env=env,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert last.startswith(f"consulta: AMQP_URL: {where(arenas)} has it already, and otherwise")
    assert "'analysis.requested'" in last
    assert arenas.rabbit.password not in process.stderr


async def limit(arenas: Arenas, arena: Arena, connections: int) -> None:
    """How many connections the virtual host takes; -1 for any number."""
    vhost = arena.amqp_url.rpartition("/")[2]
    await asyncio.to_thread(
        subprocess.run,
        [RABBITMQCTL, "set_vhost_limits", "-p", vhost, f'{{"max-connections": {connections}}}'],
        env=arenas.rabbit.env, check=True, capture_output=True, timeout=60,
    )  # fmt: skip


async def test_a_limit_on_connections_is_waited_out(arena: Arena, arenas: Arenas) -> None:
    await limit(arenas, arena, 0)
    async with asyncio.timeout(PATIENCE), Bus(arena.amqp_url, "tests") as bus:
        while not bus.trouble:
            await asyncio.sleep(0)
        assert bus.trouble.endswith("connection limit (0) is reached")
        await limit(arenas, arena, -1)
        await bus.declared()
        assert bus.is_up
