"""A service that is no part of this repository: the README's script, run as it stands there."""

import asyncio
import re
import sys
from pathlib import Path
from uuid import uuid4

import aio_pika
import msgspec
import pytest

from tests.e2e.conftest import PATIENCE, Api
from tests.services import ROOT, Services


@pytest.mark.parametrize("readme", ["README.md", "README.pt-BR.md"])
async def test_the_script_of_the_readme_gets_its_events(
    services: Services, api: Api, tmp_path: Path, readme: str
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / readme).read_text(), re.DOTALL)
    [script] = [block for block in blocks if "lookup.requested" in block]
    file = tmp_path / "billing.py"
    file.write_text(script)
    env = {"AMQP_URL": services.env["AMQP_URL"], "PATH": services.env["PATH"]}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(file), env=env, stdout=-1, stderr=-1
    )
    out, error = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, error.decode()
    lines = [line.split() for line in out.decode().splitlines()]
    assert sorted(int(line[0]) for line in lines) == [1, 2, 3, 4, 5, 6]
    assert {line[1] for line in lines} == {
        "iniciado", "telegram", "endereco", "telefone", "analysis", "completo",
    }  # fmt: skip


async def test_a_bad_request_on_the_bus_gets_an_error_and_is_buried(
    services: Services, api: Api
) -> None:
    task_id = str(uuid4())
    bad = {"task_id": task_id, "origem": "billing", "identificador": "123", "tipo": "cpf"}
    async with await aio_pika.connect(services.env["AMQP_URL"]) as connection:
        channel = await connection.channel()
        events = await channel.declare_queue(exclusive=True)
        await events.bind("events", f"billing.{task_id}.#")
        lookups = await channel.get_exchange("lookups")
        await lookups.publish(aio_pika.Message(msgspec.json.encode(bad)), "lookup.requested")
        async with asyncio.timeout(PATIENCE), events.iterator(no_ack=True) as messages:
            async for message in messages:
                event = msgspec.json.decode(message.body)
                break
        assert (event["tipo"], event["seq"]) == ("error", 1)
        assert "identificador" in event["dados"]["mensagem"]
        grave = await channel.get_queue("lookup.requested.dead")
        async with asyncio.timeout(PATIENCE), grave.iterator() as dead:
            async for message in dead:
                await message.ack()
                if msgspec.json.decode(message.body) == bad:
                    break
        assert "identificador" in str(message.headers["x-reason"])
    _, seen = await api.json("GET", f"/api/consultas/{task_id}")
    assert seen["status"] == "FAILURE"


async def test_the_same_task_id_twice_is_one_lookup(services: Services, api: Api) -> None:
    task_id = str(uuid4())
    body = {"task_id": task_id, "origem": "billing", "identificador": "01001-000", "tipo": "cep"}
    async with await aio_pika.connect(services.env["AMQP_URL"]) as connection:
        channel = await connection.channel()
        lookups = await channel.get_exchange("lookups")
        for _ in range(3):
            message = aio_pika.Message(msgspec.json.encode(body))
            await lookups.publish(message, "lookup.requested")
    async with asyncio.timeout(PATIENCE):
        while (await api.json("GET", f"/api/consultas/{task_id}"))[1].get("status") != "SUCCESS":
            pass
    assert (await api.calls()).count("opencep") == 1
