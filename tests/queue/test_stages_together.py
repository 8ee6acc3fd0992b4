"""Several stages in one process: they work as they would apart, and end together."""

import asyncio
import signal
import socket
import subprocess
import sys

from deploy.local.ports import free_port
from shared.messages import STAGES
from shared.workers import Workers
from tests.arena import Arena
from tests.queue.asker import ceps, eventually
from tests.queue.conftest import Stand, Stands
from tests.services import ROOT
from tests.subjects import cnpj, cpf, cpfs

PERSON, COMPANY = cpf(280_012_389), cnpj(12_345_678)
OF_PERSONS = ("telegram", "bridge_endereco", "bridge_telefone")


def outcomes(stand: Stand, task: str) -> dict[str, str]:
    """How each stage of a lookup ended, by its name."""
    told = stand.asker.told(task)
    return {event["tipo"]: event["situacao"] for event in told if event["tipo"] in STAGES}


async def test_it_does_whole_lookups_and_ends_with_nothing_in_hand(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(arena, "enricher", "analyzer")
    assert "enricher telegram+endereco+telefone+cadastro" in await Workers(stand.store).alive()
    for who, kind, stages in (
        (PERSON, "cpf", {"telegram", "endereco", "telefone"}),
        (COMPANY, "cnpj", {"cadastro", "endereco", "telefone"}),
    ):
        task = await stand.asker.ask(who, kind)
        await stand.asker.ended(task)
        assert outcomes(stand, task) == dict.fromkeys(stages, "ok")

    await stand.providers.set(*OF_PERSONS, held=True)
    before = len(await stand.providers.calls())
    task = await stand.asker.ask(cpf(280_012_390), "cpf")
    await stand.providers.until(before + len(OF_PERSONS))
    ending = asyncio.create_task(asyncio.to_thread(stand.services.kill, "enricher", signal.SIGTERM))

    async def told_to_end() -> bool:
        return await stand.is_unready("enricher")

    await eventually(told_to_end)
    await stand.providers.set(*OF_PERSONS, held=False)
    await ending
    # Nobody else is there who could have done what it left.
    await stand.asker.ended(task)
    assert outcomes(stand, task) == dict.fromkeys(("telegram", "endereco", "telefone"), "ok")


async def test_a_stage_that_is_full_or_at_its_limit_is_in_no_other_s_way(
    arena: Arena, stands: Stands
) -> None:
    stand = await stands.up(
        arena, "enricher", "analyzer", ENRICHER_CONCURRENCY="2", RATE_TELEFONE="1/day"
    )
    await stand.providers.set("telegram", held=True)
    people = cpfs(5, 280_012_389)
    full = await stand.asker.ask_all(people[:3], kind="cpf", etapas=["telegram"])
    await stand.providers.until(2)
    served = await stand.asker.ask(people[3], "cpf", etapas=["telefone"])
    await stand.asker.ended(served)
    limited = await stand.asker.ask(people[4], "cpf", etapas=["telefone"], prazo=900)
    await stand.asker.heard("aguardando", [limited])

    # More than there are places of any one stage.
    free = await stand.asker.ask_all(ceps(5))
    await stand.asker.heard("completo", free)
    assert [outcomes(stand, task) for task in free] == [{"endereco": "ok"}] * 5
    await stand.providers.set("telegram", held=False)
    await stand.asker.heard("completo", full)
    assert stand.asker.types(limited)[-1] == "aguardando"
    calls = [call.provider for call in await stand.providers.calls()]
    assert calls.count("bridge_telefone") == 1


def test_a_port_that_is_taken_is_named_by_the_first_stage(arena: Arena) -> None:
    with socket.socket() as taken:
        port = free_port()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "enricher", "telefone", "endereco"], cwd=ROOT, check=False,
            env={
                "AMQP_URL": arena.amqp_url, "REDIS_URL": arena.redis_url,
                "ENRICHER_TELEFONE_OPS_PORT": str(port), "ENRICHER_ENDERECO_OPS_PORT": "0",
            },
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"ENRICHER_TELEFONE_OPS_PORT: cannot listen on 127.0.0.1:{port}" in done.stderr
