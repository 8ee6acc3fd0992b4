"""Dead letters on a real broker: looked at, replayed and purged, and never lost."""

import asyncio
import re
from collections.abc import AsyncIterator

import aio_pika
import msgspec
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from consulta.cli.__main__ import main
from consulta.dead_letters import DeadLetters, UnknownLetter
from consulta.errors import Unreachable
from shared.bus import Bus
from shared.topology import DEAD, DELIVER, REQUESTED, STAGE_QUEUES, delay_route
from tests.arena import Arena

CPF = "11144477735"
NAME = REQUESTED.name


@pytest.fixture
async def channel(arena: Arena, bus: Bus) -> AsyncIterator[AbstractChannel]:
    """A channel beside the bus, which has declared the queues."""
    del bus
    async with await aio_pika.connect(arena.amqp_url) as connection:
        yield await connection.channel(publisher_confirms=True, on_return_raises=True)


@pytest.fixture
async def dead(arena: Arena, channel: AbstractChannel) -> AsyncIterator[DeadLetters]:
    del channel
    async with DeadLetters(arena.amqp_url) as dead:
        yield dead


async def buried(channel: AbstractChannel, number: int, **headers: object) -> list[str]:
    """That many dead lookups, numbered by their priority; their message ids."""
    exchange = await channel.get_exchange(DEAD, ensure=False)
    ids = [f"id-{place}" for place in range(1, number + 1)]
    for place, id_ in enumerate(ids, 1):
        body = msgspec.json.encode({"identificador": CPF, "prioridade": place % 10 + 1})
        told = {"x-reason": f"fault {place}", "x-attempt": 5, "x-queue": NAME, **headers}
        message = Message(body, message_id=id_, headers=told)  # type: ignore[arg-type]
        await exchange.publish(message, REQUESTED.dead, mandatory=True)
    return ids


async def taken(channel: AbstractChannel, name: str) -> list[AbstractIncomingMessage]:
    """Everything in a queue, taken away."""
    queue, found = await channel.get_queue(name), []
    while (incoming := await queue.get(fail=False)) is not None:
        await incoming.ack()
        found.append(incoming)
    return found


async def test_looking_loses_nothing_and_keeps_the_order(
    channel: AbstractChannel, dead: DeadLetters
) -> None:
    ids = await buried(channel, 30)
    for _ in range(2):
        assert [letter.message_id for letter in await dead.letters(NAME)] == ids
        assert [letter.position for letter in await dead.letters(NAME, 3)] == [1, 2, 3]
        assert (await dead.letter(NAME, "id-7")).reason == "fault 7"
        assert (await dead.letter(NAME, "7")).message_id == "id-7"
    assert (await dead.counts())[NAME] == 30
    assert [incoming.message_id for incoming in await taken(channel, REQUESTED.dead)] == ids


@pytest.mark.parametrize("ticks", range(0, 50, 7))
async def test_looking_may_end_anywhere(arena: Arena, channel: AbstractChannel, ticks: int) -> None:
    ids = await buried(channel, 5)
    async with DeadLetters(arena.amqp_url) as dead:
        looking = asyncio.create_task(dead.letters(NAME))
        for _ in range(ticks):
            await asyncio.sleep(0)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    async with DeadLetters(arena.amqp_url) as dead:
        assert [letter.message_id for letter in await dead.letters(NAME)] == ids


async def test_a_replay_is_a_new_message_of_a_first_attempt(
    channel: AbstractChannel, dead: DeadLetters
) -> None:
    scars = {
        "x-death": [{"count": 1, "queue": NAME, "reason": "rejected"}],
        "x-first-death-queue": NAME,
        "x-last-death-reason": "rejected",
        "x-traceback": "…",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    await buried(channel, 3, **scars)
    done = await dead.replay(NAME, "id-2")
    assert (done.replayed, done.kept) == (1, 0)
    [incoming] = await taken(channel, NAME)
    assert incoming.headers == {"traceparent": scars["traceparent"]}
    assert incoming.message_id not in {"id-2", "", None}
    assert incoming.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert incoming.content_type == "application/json"
    assert incoming.priority == 3
    assert [letter.message_id for letter in await dead.letters(NAME)] == ["id-1", "id-3"]


async def test_all_are_replayed_each_by_its_priority(
    channel: AbstractChannel, dead: DeadLetters
) -> None:
    await buried(channel, 200)
    assert (await dead.replay(NAME)).replayed == 200
    assert (await dead.counts())[NAME] == 0
    back = await taken(channel, NAME)
    assert len(back) == 200
    priorities = [incoming.priority or 0 for incoming in back]
    assert priorities == sorted(priorities, reverse=True)


async def test_a_replay_nobody_takes_leaves_the_letter_dead(
    channel: AbstractChannel, dead: DeadLetters
) -> None:
    await buried(channel, 2)
    queue = await channel.get_queue(NAME)
    await queue.unbind("lookups", NAME)
    with pytest.raises(Unreachable, match="continua morta"):
        await dead.replay(NAME)
    assert len(await dead.letters(NAME)) == 2


async def test_what_was_unroutable_goes_where_it_was_meant_to(
    channel: AbstractChannel, dead: DeadLetters
) -> None:
    deliver = await channel.get_exchange(DELIVER, ensure=False)
    work = STAGE_QUEUES["endereco"].name
    for queue in ("stage.gone", work):
        lost = await channel.get_queue(queue, ensure=False)
        if queue == work:
            await lost.unbind(DELIVER, f"#.{queue}")
        await deliver.publish(Message(b"{}"), delay_route(0, queue)[1], mandatory=True)
    assert [letter.queue for letter in await dead.letters("unroutable")] == ["", work]
    done = await dead.replay("unroutable")
    assert (done.replayed, done.kept) == (1, 1)
    assert len(await taken(channel, work)) == 1
    assert (await dead.counts())["unroutable"] == 1
    with pytest.raises(UnknownLetter, match="não se sabe"):
        await dead.replay("unroutable", "1")


async def test_a_purge_forgets_one_or_all(channel: AbstractChannel, dead: DeadLetters) -> None:
    await buried(channel, 4)
    assert await dead.purge(NAME, "id-2") == 1
    assert [letter.message_id for letter in await dead.letters(NAME)] == ["id-1", "id-3", "id-4"]
    assert await dead.purge(NAME) == 3
    assert await dead.letters(NAME) == []


async def test_what_is_not_there_is_said(dead: DeadLetters) -> None:
    for name in ("stage.gone", "lookup.requested.dead", "amq.something"):
        with pytest.raises(UnknownLetter, match="não há fila"):
            await dead.letters(name)
    for which in ("1", "0", "id-1"):
        with pytest.raises(UnknownLetter, match="não há mensagem"):
            await dead.replay(NAME, which)


async def test_an_empty_broker_has_no_dead_letters(arena: Arena) -> None:
    async with DeadLetters(arena.amqp_url) as dead:
        assert set((await dead.counts()).values()) == {0}
        with pytest.raises(UnknownLetter, match="ainda não existe"):
            await dead.letters(NAME)
        assert await dead.counts()


async def test_a_broker_that_refuses_or_is_away_is_one_error(arena: Arena) -> None:
    wrong_password = re.sub(r":[^:@/]*@", ":s3cr3t@", arena.amqp_url)
    for url in (wrong_password, f"{arena.amqp_url}-nowhere", "amqp://u:s3cr3t@127.0.0.1:1/"):
        with pytest.raises(Unreachable) as caught:
            await DeadLetters(url).__aenter__()
        assert "s3cr3t" not in str(caught.value)


async def test_the_commands_show_no_personal_data_unasked(
    arena: Arena,
    channel: AbstractChannel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def run(*argv: str) -> str:
        assert await asyncio.to_thread(main, ["dead", *argv]) == 0
        return capsys.readouterr().out

    monkeypatch.setenv("AMQP_URL", arena.amqp_url)
    assert await run("list") == "nenhuma mensagem morta\n"
    await buried(channel, 3, **{"x-reason": f"bad {CPF}", "x-traceback": f"File 1\n{CPF}\n"})
    listed = await run("list", "--limite", "2")
    assert listed.splitlines()[1].split() == [
        "lookup.requested", "1", "id-1", "5", "46", "bad", "***",
    ]  # fmt: skip
    assert listed.endswith("\ne mais 1; veja --limite\n")
    shown = await run("show", "lookup.requested.dead", "id-2")
    assert '"prioridade": 3' in shown
    assert "volta para  lookup.requested\n" in shown
    [line, *_] = (await run("list", NAME, "--json")).splitlines()
    assert msgspec.json.decode(line)["message_id"] == "id-1"
    for text in (listed, shown, line):
        assert CPF not in text
    assert (await run("show", NAME, "2", "--revelar")).count(CPF) == 3
    assert await run("replay", NAME, "id-1") == "devolvidas: 1\n"
    assert await run("replay", NAME, "--todas") == "devolvidas: 2\n"
    await buried(channel, 3)
    assert await run("purge", NAME, "1", "--yes") == "apagadas: 1\n"
    assert await run("purge", NAME, "--yes") == "apagadas: 2\n"


async def test_bodies_of_any_size_and_shape_are_shown(
    channel: AbstractChannel, dead: DeadLetters, arena: Arena,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    exchange = await channel.get_exchange(DEAD, ensure=False)
    monkeypatch.setenv("AMQP_URL", arena.amqp_url)
    for body in (b"", b"\xff\xfe", b"x" * 5_000_000, b"[" * 1000, b"null", b'{"task_id":1}'):
        await exchange.publish(Message(body), REQUESTED.dead)
    sizes = [letter.size for letter in await dead.letters(NAME)]
    assert sizes == [0, 2, 5_000_000, 1000, 4, 13]
    for place in map(str, range(1, 7)):
        for more in ([], ["--revelar"]):
            argv = ["dead", "show", NAME, place, *more]
            assert await asyncio.to_thread(main, argv) == 0
    assert "5000000 bytes" in capsys.readouterr().out.replace(
        "bytes       5000000", "5000000 bytes"
    )
    assert (await dead.replay(NAME)).replayed == 6
