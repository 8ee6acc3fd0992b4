"""Lists and lines that are made to be a burden, and those who send them."""

import asyncio
import tracemalloc
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from gateway import bulk
from gateway.streaming.room import ROOM
from shared.app import LOOKUPS
from shared.domain.answers import BulkItem
from tests.gateway.gateways import CEP, PATIENCE, Gateway, Gateways

pytestmark = pytest.mark.asyncio(loop_scope="module")
LATER = {**CEP, "atraso": 86400}
JSON, NDJSON = "application/json", "application/x-ndjson"
PATH = "/api/consultas/lote"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(lasting: Gateways) -> Gateway:
    return await lasting.start()


async def sent(gateway: Gateway, body: bytes, form: str = JSON) -> tuple[int, Any]:
    """The status and the answer; of lines, a list of what they say."""

    async def parts() -> Any:
        for start in range(0, len(body), 1 << 16):
            yield body[start : start + (1 << 16)]

    headers = {"Content-Type": form}
    async with gateway.request("POST", PATH, data=parts(), headers=headers) as answer:
        text = await answer.read()
        lines = text.splitlines() if answer.content_type == NDJSON else [text]
        told = [msgspec.json.decode(line) for line in lines]
        return answer.status, told if answer.content_type == NDJSON else told[0]


@pytest.fixture
def nothing_taken_on(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fill up with the lookups that were taken on."""
    taken: list[str] = []
    accept = gateway.app[LOOKUPS].accept

    async def spy(task: str, lifetime: float, **about: str) -> tuple[bool, float]:
        taken.append(task)
        return await accept(task, lifetime, **about)

    monkeypatch.setattr(gateway.app[LOOKUPS], "accept", spy)
    return taken


async def test_a_list_of_very_many_is_refused_before_it_fills_the_memory(
    gateway: Gateway, nothing_taken_on: list[str]
) -> None:
    body = b"[" + b"[0]," * (2**21 - 8) + b"[0]]"
    tracemalloc.start()
    try:
        status, problem = await sent(gateway, body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (status, problem["campo"]) == (413, "corpo")
    assert "10000" in problem["detail"]
    assert nothing_taken_on == []
    # The body once and a little: two million objects would be a hundred megabytes.
    assert peak < 24 * 2**20


async def test_a_list_that_breaks_late_is_refused_whole(
    gateway: Gateway, nothing_taken_on: list[str]
) -> None:
    item = msgspec.json.encode(LATER)
    for late in (b'{"identificador"', item + b"}", item[:-1] + b",}", b'{"tipo":"\xff"}'):
        body = b"[" + b",".join([*[item] * 300, late, item]) + b"]"
        status, problem = await sent(gateway, body)
        assert (status, problem["detail"]) == (400, "o corpo não é JSON válido (UTF-8)")
    assert nothing_taken_on == []


async def test_an_item_longer_than_any_lookup_has_the_list_refused(
    gateway: Gateway, nothing_taken_on: list[str]
) -> None:
    item = msgspec.json.encode(LATER)
    long = b'{"finalidade":"' + b"x" * 17_000 + b'"}'
    status, problem = await sent(gateway, b"[%b,%b]" % (item, long))
    assert (status, problem["campo"]) == (413, "corpo")
    assert "16384" in problem["detail"]
    assert nothing_taken_on == []


async def test_good_and_bad_items_are_answered_in_their_order(gateway: Gateway) -> None:
    item = msgspec.json.encode(LATER)
    items = [item, b"[0]", b" 7 ", b'"a,]\\""', item, b'{"tipo":"cep","identificador":"1"}']
    status, answers = await sent(gateway, b" [ " + b" ,\n".join(items) + b"\n] \r\n")
    assert status == 200
    assert [answer["http"] for answer in answers] == [202, 422, 422, 422, 202, 422]
    assert [answer["indice"] for answer in answers] == list(range(6))


async def test_so_many_bodies_are_held_and_no_more(gateways: Gateways) -> None:
    gateway = await gateways.start()
    size, large = 8 * 2**20, b"Content-Length: %d" % (8 * 2**20)
    unknown, packed = b"Transfer-Encoding: chunked", b"Content-Encoding: gzip\r\nContent-Length: 9"
    connections = [await begun(gateway, one) for one in (large, unknown, packed, large)]
    try:
        async with asyncio.timeout(PATIENCE):
            while gateway.app[ROOM]._taken.total() < 4 * size:
                await asyncio.sleep(0.01)
        # Of the body not a byte has been sent.
        for length in (large, unknown, packed):
            refused = await begun(gateway, length)
            connections.append(refused)
            head = await asyncio.wait_for(refused[0].readuntil(b"\r\n\r\n"), PATIENCE)
            assert head.startswith(b"HTTP/1.1 429 ")
            assert b"Retry-After: 2" in head
        tiny = b"[" + msgspec.json.encode(LATER) + b"]"
        # One that has ended, or gone, has given its place back.
        connections[0][1].write(b"[" + b" " * (size - 2) + b"]")
        head = await asyncio.wait_for(connections[0][0].readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert (await sent(gateway, tiny))[0] == 200
    finally:
        for _, writer in connections:
            writer.close()


async def begun(
    gateway: Gateway, length: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which the head of a call has been sent, and nothing of its body."""
    reader, writer = await gateway.connect()
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {JSON}\r\n".encode()
    writer.write(head + length + b"\r\n\r\n")
    await writer.drain()
    return reader, writer


async def test_a_body_that_says_it_is_too_large_is_not_waited_for(gateway: Gateway) -> None:
    reader, writer = await begun(gateway, b"Content-Length: 9000000")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert head.startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_blank_lines_count_and_past_the_limit_nothing_is_read(gateway: Gateway) -> None:
    item = msgspec.json.encode(LATER)
    body = item + b"\n" * 65_536 + item
    reader, writer = await gateway.connect()
    writer.write(
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {NDJSON}\r\n".encode()
        + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip
    # To the end of the connection, not only of the answer: there is nothing more to say on it.
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    told = [msgspec.json.decode(line) for line in answer.splitlines() if line.startswith(b"{")]
    assert [each["http"] for each in told] == [202, 422]
    assert (told[1]["campo"], told[1]["indice"]) == ("lote", 1)
    assert "10000 linhas" in told[1]["detail"]
    writer.close()


async def test_whoever_reads_nothing_of_the_answer_is_cut_off(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def much(_: object, index: int, asked: object) -> BulkItem:
        return BulkItem(index=index, http=422, detail="x" * 4096)

    monkeypatch.setattr(bulk, "ANSWER_S", 0.2)
    monkeypatch.setattr(bulk, "_one", much)
    gateway = await gateways.start()
    held = gateway.app[ROOM]._taken
    body = b"[" + b",".join([b"0"] * 10_000) + b"]"
    _, writer = await begun(gateway, b"Content-Length: %d" % len(body))
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(PATIENCE):
        while not held:
            await asyncio.sleep(0.01)
        writer.write(body)
        # More than any buffer on the way takes; its place is free again all the same.
        while held:
            await asyncio.sleep(0.01)
    writer.close()
