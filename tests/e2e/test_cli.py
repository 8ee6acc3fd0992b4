"""The command line as a person runs it, on the whole stack."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any
from uuid import uuid4

import aio_pika
import msgspec
import redis.asyncio

from tests.e2e.conftest import PATIENCE, Api, types
from tests.services import ROOT, Services
from tests.subjects import cpf

CPF, CEP = "111.444.777-35", "01001-000"


async def start(services: Services, *argv: str, **env: str) -> Process:
    env = {
        "PATH": services.env["PATH"],
        "AMQP_URL": services.env["AMQP_URL"],
        "CONSULTA_URL": services.gateway,
        **env,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consulta", *argv, cwd=ROOT, env=env,
        stdin=PIPE, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip


async def run(services: Services, *argv: str, typed: str = "", **env: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    process = await start(services, *argv, **env)
    out, error = await asyncio.wait_for(process.communicate(typed.encode()), PATIENCE)
    return process.returncode or 0, out.decode(), error.decode()


async def done(services: Services, *argv: str, typed: str = "") -> str:
    """Standard output of a command that succeeds without complaint."""
    code, out, error = await run(services, *argv, typed=typed)
    assert (code, error) == (0, "")
    return out


async def test_a_lookup_is_streamed_with_times(services: Services, api: Api) -> None:
    lines = (await done(services, "lookup", "cpf", typed=CPF)).splitlines()
    assert lines[0].split() == ["ms", "evento", "situação", "origem", "dados"]
    seen = [line.split() for line in lines[1:]]
    told = [row[1] for row in seen]
    assert (told[0], told[-2:]) == ("iniciado", ["analysis", "completo"])
    times = [float(row[0]) for row in seen]
    assert times == sorted(times)
    assert not any("\033" in line for line in lines)
    hit = await done(services, "lookup", "cpf", "--etapa", "endereco", typed=f" {CPF}\n")
    assert "cache" in hit


async def test_a_lookup_as_json_is_one_event_a_line(services: Services, api: Api) -> None:
    more = ("--prioridade", "10", "--prazo", "30", "--atualizar", "--finalidade", "teste")
    out = await done(services, "lookup", "cep", "--json", *more, typed=CEP)
    events = [msgspec.json.decode(line) for line in out.splitlines()]
    assert types(events) == ["iniciado", "endereco", "analysis", "completo"]
    assert [event["seq"] for event in events] == [1, 2, 3, 4]


async def test_what_the_gateway_refuses_is_one_line(services: Services, api: Api) -> None:
    code, _, error = await run(services, "lookup", "cpf", typed="111.444.777-36")
    assert code == 1
    assert error.startswith("consulta: identificador: ")
    assert error.count("\n") == 1
    assert "111" not in error
    code, _, error = await run(services, "lookup", "cpf", "--prioridade", "11", typed=CPF)
    assert (code, error[:22]) == (1, "consulta: prioridade: ")


async def test_a_lookup_that_ends_in_an_error_fails(services: Services, api: Api) -> None:
    process = await start(services, "lookup", "cpf", "--atraso", "3600", "--json")
    assert process.stdin is not None
    process.stdin.write(CPF.encode() + b"\n")
    before = (await api.json("GET", "/api/filas"))[1]["tasks_agendadas"]
    store = redis.asyncio.Redis.from_url(services.env["REDIS_URL"])
    async with asyncio.timeout(PATIENCE), store:
        while (await api.json("GET", "/api/filas"))[1]["tasks_agendadas"] == before:
            await asyncio.sleep(0.02)
        [task_id] = await store.zrange("consulta:scheduled", -1, -1)
    assert isinstance(task_id, bytes)
    assert (await api.json("DELETE", f"/api/consultas/{task_id.decode()}"))[0] == 200
    out, error = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 1
    assert types([msgspec.json.decode(line) for line in out.splitlines()]) == ["error"]
    assert error.decode() == "consulta: cancelada por quem a pediu\n"


async def test_a_gateway_that_dies_is_waited_for(services: Services, api: Api) -> None:
    await api.control("telegram", held=True)
    process = await start(services, "lookup", "cpf", "--json")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(CPF.encode() + b"\n")
    async with asyncio.timeout(PATIENCE):
        lines = [await process.stdout.readline()]
        await asyncio.to_thread(services.kill, "gateway")
        await asyncio.to_thread(services.start, "gateway")
        await api.control("telegram", held=False)
        rest, error = await process.communicate()
    events = [msgspec.json.decode(line) for line in [*lines, *rest.splitlines()]]
    assert (process.returncode, error) == (0, b"")
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5, 6]


async def test_ctrl_c_is_clean(services: Services, api: Api) -> None:
    await api.control("telegram", held=True)
    process = await start(services, "lookup", "cpf", "--json")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(CPF.encode() + b"\n")
    first = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    process.send_signal(signal.SIGINT)
    _, error = await asyncio.wait_for(process.communicate(), PATIENCE)
    # Without a first line it had ended by itself, and its exit code says nothing of the signal.
    assert (bool(first), process.returncode, error.decode()) == (
        True, 130, "consulta: interrompido\n",
    )  # fmt: skip


async def test_a_reader_that_leaves_is_no_error(services: Services, api: Api) -> None:
    process = await start(services, "lookup", "cpf", "--json")
    assert process.stdin is not None
    transport = process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
    transport.close()
    _, error = await asyncio.wait_for(process.communicate(CPF.encode()), PATIENCE)
    assert error == b""


async def test_the_operators_commands(services: Services, api: Api) -> None:
    queues = await done(services, "queues")
    assert "stage.endereco" in queues
    assert " · workers " in queues
    assert len((await done(services, "jobs")).splitlines()) > 2
    await done(services, "lookup", "cep", typed=CEP)
    assert int((await done(services, "cache", "stats")).splitlines()[1].split()[0]) >= 1
    assert await done(services, "cache", "invalidate", "cep", typed=CEP) != "removidas: 0\n"
    first = await done(services, "cache", "version", "--yes")
    second = await done(services, "cache", "version", "--yes")
    assert int(second.split()[1]) == int(first.split()[1]) + 1


async def test_a_dead_letter_whose_cause_is_mended_completes_its_lookup(
    services: Services, api: Api
) -> None:
    name, task_id = "lookup.requested", str(uuid4())
    body = {
        "task_id": task_id, "origem": "billing", "identificador": cpf(240_012_389), "tipo": "cpf",
    }  # fmt: skip
    store = redis.asyncio.Redis.from_url(services.env["REDIS_URL"])
    async with store, await aio_pika.connect(services.env["AMQP_URL"]) as connection:
        channel = await connection.channel()
        lookups = await channel.get_exchange("lookups")

        async def publish(body: Any, **headers: Any) -> None:
            raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
            await lookups.publish(aio_pika.Message(raw, headers=headers), name)

        # The cause: a key of ours that somebody made something else of.
        await store.delete("consulta:scheduled")
        await store.set("consulta:scheduled", "broken")
        try:
            await publish(body, **{"x-attempt": 5})
            await publish(b"cpf=" + cpf(240_012_390).encode())
            listed = await _until(services, name, 2)
        finally:
            await store.delete("consulta:scheduled")
    [ours] = [row for row in listed if row["tentativas"] == 5]
    [poison] = [row for row in listed if row is not ours]
    assert "JSON" in poison["motivo"]
    assert ours["volta_para"] == name
    shown = await done(services, "dead", "show", name, ours["message_id"])
    assert task_id in shown
    assert "WRONGTYPE" in shown  # at the end of the traceback
    assert body["identificador"] not in shown
    revealed = await done(services, "dead", "show", name, ours["message_id"], "--revelar")
    assert body["identificador"] in revealed
    assert await done(services, "dead", "replay", name, ours["message_id"]) == "devolvidas: 1\n"
    async with asyncio.timeout(PATIENCE):
        while (await api.json("GET", f"/api/consultas/{task_id}"))[1].get("status") != "SUCCESS":
            await asyncio.sleep(0.02)
    # The poison comes back as often as it is replayed.
    assert await done(services, "dead", "replay", name, "--todas") == "devolvidas: 1\n"
    [again] = await _until(services, name, 1)
    assert again["message_id"] != poison["message_id"]
    code, _, error = await run(services, "dead", "purge", name)
    assert (code, error) == (2, "consulta: isto não tem volta: confirme com --yes\n")
    assert await done(services, "dead", "purge", name, "--yes") == "apagadas: 1\n"
    assert await done(services, "dead", "list") == "nenhuma mensagem morta\n"


async def _until(services: Services, name: str, number: int) -> list[dict[str, Any]]:
    """The dead letters of a queue, once there are so many."""
    async with asyncio.timeout(PATIENCE):
        while True:
            lines = (await done(services, "dead", "list", name, "--json")).splitlines()
            if len(lines) >= number:
                return [msgspec.json.decode(line) for line in lines]
