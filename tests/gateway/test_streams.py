"""The protocol of a stream: cursors, heartbeats, its regular end, and its limits."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any, cast
from uuid import uuid4

import pytest
import pytest_asyncio

from gateway.asking import settled
from gateway.streams import RELAY, Signal
from shared.bus import Bus
from shared.courier import News
from shared.errors import StoreUnavailable
from shared.lookups import Lookups, Recorded, View
from shared.messages import EventType
from shared.reporter import event
from shared.topology import STAGE_QUEUES
from tests.arena import Arena
from tests.gateway.backstage import Backstage
from tests.gateway.gateways import CEP, PATIENCE, Gateway, Gateways, events_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
ORDERS = STAGE_QUEUES["endereco"].name
EVENT_SOURCE = {"Accept": "text/event-stream"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(lasting: Gateways) -> Gateway:
    return await lasting.start()


async def text_of(gateway: Gateway, path: str, **headers: str) -> tuple[int, str]:
    """A whole stream, as it is on the wire."""
    async with asyncio.timeout(PATIENCE), gateway.request("GET", path, headers=headers) as answer:
        return answer.status, await answer.text()


def frames(text: str) -> list[dict[str, str]]:
    """The fields of each frame."""
    return [
        dict(line.partition(": ")[::2] for line in frame.split("\n"))
        for frame in text.split("\n\n")
        if frame
    ]


async def test_a_stream_replays_and_then_follows(gateway: Gateway, backstage: Backstage) -> None:
    task_id, where = (await _asked(gateway)).values()
    flight = await backstage.flight(task_id)
    async with gateway.request("GET", where) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["Cache-Control"] == "no-cache"
        assert stream.headers["X-Accel-Buffering"] == "no"
        assert "Content-Encoding" not in stream.headers
        assert [told["seq"] for told in await events_of(stream, 1)] == [1]
        await backstage.tell(flight, "endereco", event("endereco", {"cep": "x"}, "ok"))
        assert [told["tipo"] for told in await events_of(stream, 1)] == ["endereco"]
        await backstage.end(flight)
        # And there it ends, by itself.
        assert [told["tipo"] for told in await events_of(stream)] == ["completo"]


async def test_a_frame_has_the_id_the_type_and_one_line_of_data(
    gateway: Gateway, backstage: Backstage
) -> None:
    task_id, where = (await _asked(gateway)).values()
    flight = await backstage.flight(task_id)
    await backstage.end(flight, {"texto": "linha\nlinha\r\u2028 ção"})
    _, text = await text_of(gateway, where)
    first, *told = frames(text)
    assert 1000 <= int(first["retry"]) <= 3000
    assert [frame["id"] for frame in told] == ["1", "2"]
    assert [frame["event"] for frame in told] == ["iniciado", "completo"]
    assert all(set(frame) == {"id", "event", "data"} for frame in told)


@pytest.mark.parametrize("seen", [0, 1, 2])
async def test_a_client_is_told_what_follows_the_last_it_has_seen(
    gateway: Gateway, backstage: Backstage, seen: int
) -> None:
    task_id, where = (await _asked(gateway)).values()
    await backstage.whole(task_id)
    rest = [str(seq) for seq in range(seen + 1, 4)]
    _, text = await text_of(gateway, where, **{"Last-Event-ID": str(seen)})
    assert [frame["id"] for frame in frames(text)[1:]] == rest
    _, text = await text_of(gateway, f"{where}?last_event_id={seen}")
    assert [frame["id"] for frame in frames(text)[1:]] == rest
    # A browser sends the header by itself when it comes back to an address with the older one.
    _, text = await text_of(gateway, f"{where}?last_event_id=0", **{"Last-Event-ID": str(seen)})
    assert [frame["id"] for frame in frames(text)[1:]] == rest


async def test_after_the_last_event_there_is_nothing_to_come_back_for(
    gateway: Gateway, backstage: Backstage
) -> None:
    task_id, where = (await _asked(gateway)).values()
    flight = await backstage.flight(task_id)
    await backstage.tell(flight, "endereco", event("endereco", {}, "ok"))
    async with gateway.request("GET", where, headers={"Last-Event-ID": "2"}) as stream:
        # It is not over: this one waits for what comes.
        assert stream.status == 200
        await backstage.end(flight)
        assert [told["seq"] for told in await events_of(stream)] == [3]
    assert await text_of(gateway, where, **{"Last-Event-ID": "3"}) == (204, "")
    assert await text_of(gateway, f"{where}?last_event_id=3") == (204, "")


@pytest.mark.parametrize("cursor", ["4", "999999999", "9" * 30, "-1", "1.5", "abc", "٣", "1,2"])
async def test_an_unknown_cursor_gets_a_reset_and_then_everything(
    gateway: Gateway, backstage: Backstage, cursor: str
) -> None:
    task_id, where = (await _asked(gateway)).values()
    await backstage.whole(task_id)
    status, text = await text_of(gateway, where, **{"Last-Event-ID": cursor})
    retry, reset, *told = frames(text)
    assert status == 200
    assert set(retry) == {"retry"}
    assert (reset["event"], set(reset)) == ("reset", {"event", "data"})
    assert [frame["id"] for frame in told] == ["1", "2", "3"]


async def test_heartbeats_are_comments_and_carry_no_id(
    gateways: Gateways, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.streams.HEARTBEAT_S", 0.05)
    gateway = await gateways.start()
    task_id, where = (await _asked(gateway)).values()
    flight = await backstage.flight(task_id)
    async with asyncio.timeout(PATIENCE), gateway.request("GET", where) as stream:
        seen: list[bytes] = []
        while seen.count(b": ping\n") < 3:
            seen.append(await stream.content.readline())
        await backstage.end(flight)
        seen += (await stream.read()).splitlines(keepends=True)
    assert [line for line in seen if line.startswith(b"id")] == [b"id: 1\n", b"id: 2\n"]
    for place, line in enumerate(seen):
        if line == b": ping\n":
            assert (seen[place - 1], seen[place + 1]) == (b"\n", b"\n")


async def test_an_event_that_was_written_down_but_never_published_comes_with_a_heartbeat(
    gateways: Gateways, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.streams.HEARTBEAT_S", 0.05)
    gateway = await gateways.start()
    task_id, where = (await _asked(gateway)).values()
    flight = await backstage.flight(task_id)
    async with gateway.request("GET", where) as stream:
        assert len(await events_of(stream, 1)) == 1
        await backstage.lookups.record(flight, "endereco", event("endereco", {}, "ok"))
        await backstage.lookups.record(flight, "end", event("completo", {}))
        assert [told["seq"] for told in await events_of(stream)] == [2, 3]


async def test_events_that_come_twice_or_out_of_order_are_told_once_and_in_order(
    gateway: Gateway, backstage: Backstage
) -> None:
    task_id, where = (await _asked(gateway)).values()
    flight = await backstage.flight(task_id)
    async with gateway.request("GET", where) as stream:
        assert len(await events_of(stream, 1)) == 1
        stages = await written(backstage, flight, "a", "b", "c")
        for place in (2, 0, 0, 1, 2):
            await backstage.reporter.tell(stages[place])
        await backstage.reporter.retell(flight)
        await backstage.end(flight)
        assert [told["seq"] for told in await events_of(stream)] == [2, 3, 4, 5]


@pytest.mark.parametrize("places", ["012", "210", "20", "0012", "1202", "2"])
async def test_events_that_come_in_one_turn_are_told_once_and_in_order(
    gateway: Gateway, backstage: Backstage, places: str
) -> None:
    task_id, where = (await _asked(gateway)).values()
    flight = await backstage.flight(task_id)
    async with gateway.request("GET", where) as stream:
        assert len(await events_of(stream, 1)) == 1
        stages = await written(backstage, flight, "a", "b", "c")
        for place in map(int, places):
            seq, body = stages[place].seq, stages[place].event
            gateway.app[RELAY]._on_news(News([task_id], seq, "endereco", body))
        assert [told["seq"] for told in await events_of(stream, 3)] == [2, 3, 4]
        await backstage.end(flight)
        assert [told["seq"] for told in await events_of(stream)] == [5]


async def test_what_is_at_hand_is_told_before_the_log_is_read_for_what_is_missing(
    gateway: Gateway, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id, where = (await _asked(gateway)).values()
    flight, free, view = await backstage.flight(task_id), asyncio.Event(), Lookups.view

    async def slow(*given: Any) -> View | None:
        await free.wait()
        return await view(*given)

    async with gateway.request("GET", where) as stream:
        assert len(await events_of(stream, 1)) == 1
        [first, _] = await written(backstage, flight, "a", "b")
        end = await backstage.lookups.record(flight, "end", event("completo", {}))
        monkeypatch.setattr(Lookups, "view", slow)
        for told in (first, end):
            gateway.app[RELAY]._on_news(News([task_id], told.seq, "endereco", told.event))
        assert [told["seq"] for told in await events_of(stream, 1)] == [2]
        free.set()
        assert [told["seq"] for told in await events_of(stream)] == [3, 4]


async def test_a_type_of_a_later_version_stops_no_stream(
    gateway: Gateway, backstage: Backstage
) -> None:
    task_id, where = (await _asked(gateway)).values()
    flight = await backstage.flight(task_id)
    later = event(cast("EventType", "novidade"), {})
    async with gateway.request("GET", where) as stream:
        await backstage.tell(flight, "later", later)
        await backstage.end(flight)
        told = await events_of(stream)
        assert [each["tipo"] for each in told] == ["iniciado", "novidade", "completo"]


async def test_a_client_hears_of_its_lookup_before_the_broker_has_its_orders(
    gateways: Gateways, backstage: Backstage, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, free = await gateways.start(), held(monkeypatch)
    before = await ordered(bus)
    async with gateway.request("POST", "/api/consulta-stream", json=CEP) as stream:
        [first] = await events_of(stream, 1)
        assert (first["tipo"], first["seq"]) == ("iniciado", 1)
        assert await ordered(bus) == before
        free.set()
        await backstage.end(await backstage.flight(first["task_id"]))
        assert [told["seq"] for told in await events_of(stream)] == [2]
    async with asyncio.timeout(PATIENCE):
        while await ordered(bus) == before:
            await asyncio.sleep(0.01)


async def test_a_gateway_that_stops_sends_first_what_it_has_to_order(
    arena: Arena, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = held(monkeypatch)

    async def stopping() -> None:
        free.set()
        await settled()

    monkeypatch.setattr("gateway.app.settled", stopping)
    before = await ordered(bus)
    async with Gateways(arena) as gateways:
        gateway = await gateways.start()
        async with gateway.request("POST", "/api/consulta-stream", json=CEP) as stream:
            assert len(await events_of(stream, 1)) == 1
    assert await ordered(bus) == before + 1


async def written(backstage: Backstage, flight: str, *steps: str) -> list[Recorded]:
    """Events of these steps in the flight's log, which nobody has been told of. Each is large."""
    told = event("endereco", {"x": "x" * 9000}, "ok")
    return [await backstage.lookups.record(flight, step, told) for step in steps]


async def ordered(bus: Bus) -> int:
    """How many orders lie in the queue."""
    return (await bus.depths([ORDERS]))[ORDERS]


def held(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Has no command reach the broker before this is set."""
    free, command = asyncio.Event(), Bus.command

    async def wait(*given: Any, **more: Any) -> None:
        await free.wait()
        await command(*given, **more)

    monkeypatch.setattr(Bus, "command", wait)
    return free


async def test_a_hundred_streams_of_a_lookup_hear_the_same(
    gateway: Gateway, backstage: Backstage
) -> None:
    task_id, where = (await _asked(gateway)).values()

    async def listen() -> list[dict[str, Any]]:
        async with gateway.request("GET", where) as stream:
            return await events_of(stream)

    listeners = [asyncio.create_task(listen()) for _ in range(100)]
    await backstage.whole(task_id)
    heard = await asyncio.gather(*listeners)
    assert [told["seq"] for told in heard[0]] == [1, 2, 3]
    assert all(told == heard[0] for told in heard)


async def test_too_many_streams_are_said_to_a_post_and_put_off_for_a_get(
    gateways: Gateways, backstage: Backstage
) -> None:
    for limit in ("MAX_STREAMS", "MAX_STREAMS_PER_CLIENT"):
        gateway = await gateways.start(**{limit: "2"})
        _, where = (await _asked(gateway)).values()
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(gateway.request("GET", where))
            async with gateway.request("POST", "/api/consulta-stream", json=CEP) as answer:
                assert answer.status == 429
                assert int(answer.headers["Retry-After"]) > 0
            for cursor in ("0", "77"):
                status, text = await text_of(gateway, where, **{"Last-Event-ID": cursor})
                [frame] = frames(text)
                assert status == 200
                assert 5000 <= int(frame["retry"]) <= 15000
        # Those have gone, so there is room again.
        async with gateway.request("POST", "/api/consulta-stream", json=CEP) as answer:
            assert answer.status == 200


async def test_clients_are_sent_back_at_moments_of_their_own(gateways: Gateways) -> None:
    gateway = await gateways.start(MAX_STREAMS="1")
    _, where = (await _asked(gateway)).values()
    async with gateway.request("GET", where):
        told = {(await text_of(gateway, where))[1] for _ in range(10)}
    assert len(told) > 1


async def test_an_event_source_comes_back_when_the_store_is_there_again(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise StoreUnavailable("the test says so")

    gateway = await gateways.start()
    _, where = (await _asked(gateway)).values()
    monkeypatch.setattr(Lookups, "view", away)
    status, text = await text_of(gateway, where, **EVENT_SOURCE)
    assert (status, [set(frame) for frame in frames(text)]) == (200, [{"retry"}])
    assert (await gateway.json("GET", where))[0] == 503


async def test_streams_of_a_gateway_that_stops_are_told_to_come_back(
    gateways: Gateways, backstage: Backstage
) -> None:
    gateway = await gateways.start()
    task_id, where = (await _asked(gateway)).values()
    await backstage.flight(task_id)
    async with gateway.request("GET", where) as stream:
        assert len(await events_of(stream, 1)) == 1
        gateway.app[RELAY].wake(Signal.LEAVE)
        rest = (await asyncio.wait_for(stream.read(), PATIENCE)).decode()
    [last] = frames(rest.lstrip("\n"))
    assert 1000 <= int(last["retry"]) <= 3000
    # One that comes as it goes is told what there is, and sent on.
    _, text = await text_of(gateway, where)
    assert [frame["id"] for frame in frames(text) if "id" in frame] == ["1"]


async def test_the_head_of_a_stream_cannot_be_asked_for(gateway: Gateway) -> None:
    async with gateway.request("HEAD", f"/api/consultas/{uuid4()}/eventos") as answer:
        assert answer.status == 405


async def _asked(gateway: Gateway) -> dict[str, str]:
    answer = await gateway.ask()
    return {"task_id": answer["task_id"], "eventos": answer["eventos"]}
