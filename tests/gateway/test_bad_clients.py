"""Clients that vanish, that never read, and that never finish what they began to say."""

import asyncio
import logging
import socket
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from msgspec.structs import replace

from gateway import sse
from gateway.streams import RELAY
from shared.app import BUS, CACHE, LOOKUPS
from shared.log import _without_request
from shared.lookups import Plan
from shared.reporter import event
from shared.store import Store
from shared.topology import Queue
from tests.gateway.backstage import Backstage
from tests.gateway.cached import cep, fill
from tests.gateway.gateways import CEP, PATIENCE, Gateway, Gateways, events_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
BODY = msgspec.json.encode(CEP)
HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(lasting: Gateways) -> Gateway:
    return await lasting.start()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


def streams(gateway: Gateway) -> int:
    """How many lookups have a stream at the gateway now."""
    return len(gateway.app[RELAY]._streams)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the gateway closes the connection."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("how", ["FIN", "RST", "half"])
async def test_a_post_client_that_vanishes_leaves_a_whole_lookup_and_no_stream(
    gateway: Gateway, backstage: Backstage, how: str
) -> None:
    reader, writer = await gateway.connect()
    length = b"Content-Length: %d\r\n\r\n" % len(BODY)
    writer.write(b"POST /api/consulta-stream HTTP/1.1\r\n" + HEAD + length + BODY)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    task_id = head.split("/api/consultas/")[1].split("/")[0]
    assert streams(gateway) == 1
    match how:
        case "FIN":
            writer.close()
        case "RST":
            writer.transport.abort()
        case _:
            writer.write_eof()
    await until(lambda: streams(gateway) == 0)
    writer.close()
    await backstage.whole(task_id)
    async with gateway.request("GET", f"/api/consultas/{task_id}/eventos") as stream:
        assert [told["seq"] for told in await events_of(stream)] == [1, 2, 3]


async def test_what_a_vanished_client_asked_for_is_done_all_the_same(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookups = gateway.app[LOOKUPS]
    plan, planned, go_on = lookups.plan, asyncio.Event(), asyncio.Event()
    ordered: list[str] = []

    async def slowly(*args: Any, **more: Any) -> Plan:
        found = await plan(*args, **more)
        planned.set()
        await go_on.wait()
        return found

    async def taken(queue: Queue, *_: object, **__: object) -> None:
        ordered.append(queue.name)

    monkeypatch.setattr(lookups, "plan", slowly)
    monkeypatch.setattr(gateway.app[BUS], "command", taken)
    _, writer = await gateway.connect()
    length = b"Content-Length: %d\r\n\r\n" % len(BODY)
    writer.write(b"POST /api/consulta-stream HTTP/1.1\r\n" + HEAD + length + BODY)
    await asyncio.wait_for(planned.wait(), PATIENCE)
    writer.transport.abort()
    await until(lambda: streams(gateway) == 0)
    go_on.set()
    await until(lambda: bool(ordered))
    assert ordered == ["stage.endereco"]


async def test_clients_that_never_read_are_cut_off_and_slow_nobody(
    gateways: Gateways, backstage: Backstage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "WRITE_TIMEOUT_S", 0.5)
    gateway = await gateways.start()
    answer = await gateway.ask()
    flight = await backstage.flight(answer["task_id"])
    deaf = [await _deaf(gateway, answer["eventos"]) for _ in range(20)]
    counted = gateway.app[RELAY]._streams[answer["task_id"]]
    await until(lambda: len(counted) == 20)
    async with gateway.request("GET", answer["eventos"]) as stream:
        # More than any buffer on the way takes, so that writing to the deaf ones has to wait.
        big = "x" * 100_000
        for number in range(40):
            await backstage.tell(flight, f"step {number}", event("aguardando", {"x": big}))
            assert len(await events_of(stream, 1 if number else 2)) == (1 if number else 2)
        await until(lambda: len(counted) == 1)
        # And they come back, where they were, as soon as they listen.
        again = {"Last-Event-ID": "30"}
        async with gateway.request("GET", answer["eventos"], headers=again) as resumed:
            await backstage.end(flight)
            assert [told["seq"] for told in await events_of(stream)] == [42]
            assert [told["seq"] for told in await events_of(resumed)] == list(range(31, 43))
    for connection in deaf:
        connection.close()


async def _deaf(gateway: Gateway, path: str) -> socket.socket:
    """A client that asks for a stream and reads nothing of it."""
    connection = await _connected(gateway)
    asked = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    await asyncio.get_running_loop().sock_sendall(connection, asked)
    return connection


async def _connected(gateway: Gateway) -> socket.socket:
    """A connection for whose client the kernel keeps next to nothing."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
    return connection


@pytest.mark.parametrize("size", [1, 100_000])
async def test_a_client_that_asks_on_and_on_and_reads_no_hit_is_cut_off(
    gateways: Gateways, store: Store, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(sse, "WRITE_TIMEOUT_S", 0.5)
    gateway = await gateways.start()
    await fill(store, gateway, cep(1), 1)
    cache, digest = gateway.app[CACHE], gateway.app[CACHE].digest("cep", cep(1)["identificador"])
    entry = (await cache.read("cep", digest))["endereco"]
    await cache.write("cep", digest, {"endereco": replace(entry, data={"x": "x" * size})})
    body = msgspec.json.encode(cep(1))
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    asked = b"POST /api/consulta-stream HTTP/1.1\r\n" + HEAD + length + body
    with await _connected(gateway) as connection:
        # Far more than any buffer on the way takes.
        sending = asyncio.get_running_loop().sock_sendall(connection, asked * 100_000)
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(sending, PATIENCE)


async def test_the_kernel_gives_up_a_peer_that_vanished_without_a_word(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[int] = []
    opened = sse.open_stream

    async def look(request: web.Request, task_id: str) -> sse.Writer:
        writer = await opened(request, task_id)
        assert request.transport is not None
        connection = request.transport.get_extra_info("socket")
        found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        return writer

    monkeypatch.setattr(sse, "open_stream", look)
    async with gateway.request("POST", "/api/consulta-stream", json=CEP) as answer:
        assert answer.status == 200
    assert found == [sse.VANISHED_MS] == [30_000]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """All patience, a hundredth as long."""
    for name, seconds in (
        ("shared.patience.HEADER_S", 0.2), ("shared.patience.TICK_S", 0.05),
        ("gateway.bodies.BODY_S", 0.2), ("gateway.bulk.LIST_S", 0.2),
    ):  # fmt: skip
        monkeypatch.setattr(name, seconds)


@pytest.mark.parametrize(
    "begun", [b"", b"GET /", b"GET / HTTP/1.1\r\nX-", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\nX-"]
)
async def test_a_connection_that_never_finishes_its_header_is_closed(
    gateways: Gateways, hurried: None, begun: bytes
) -> None:
    gateway = await gateways.start()
    reader, writer = await gateway.connect()
    writer.write(begun)
    dripping = asyncio.create_task(_drip(writer)) if begun else None
    assert await rest_of(reader) == b""
    if dripping is not None:
        dripping.cancel()
    writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    """One byte more from time to time, as an attacker would to look alive."""
    while not writer.is_closing():
        await asyncio.sleep(0.05)
        writer.write(b"a")


async def test_a_stream_is_no_silent_connection(
    gateways: Gateways, hurried: None, backstage: Backstage
) -> None:
    gateway = await gateways.start()
    answer = await gateway.ask()
    reader, writer = await gateway.connect()
    async with gateway.request("GET", answer["eventos"]) as stream:
        # By the time that this one is closed, the stream would have been too.
        assert await rest_of(reader) == b""
        await backstage.whole(answer["task_id"])
        assert [told["seq"] for told in await events_of(stream)] == [1, 2, 3]
    writer.close()


@pytest.mark.parametrize(
    "path",
    ["/api/consulta-stream", "/api/consultas", "/api/consultas/lote", "/api/cache/invalidar"],
)
async def test_a_body_that_never_ends_is_answered_408_and_closed(
    gateways: Gateways, hurried: None, path: str
) -> None:
    gateway = await gateways.start()
    reader, writer = await gateway.connect()
    request = f"POST {path} HTTP/1.1\r\n".encode() + HEAD + b"Content-Length: 5000\r\n\r\n{"
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in head
    assert b"connection: close" in head.lower()
    writer.close()


async def test_a_line_that_never_ends_ends_the_list(gateways: Gateways, hurried: None) -> None:
    gateway = await gateways.start()
    reader, writer = await gateway.connect()
    head = HEAD.replace(b"application/json", b"application/x-ndjson")
    line = BODY + b"\n"
    writer.write(
        b"POST /api/consultas/lote HTTP/1.1\r\n" + head + b"Content-Length: 5000\r\n\r\n"
        + line + line + b'{"identificador'
    )  # fmt: skip
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), PATIENCE)
    told = [msgspec.json.decode(each) for each in answer.splitlines() if each.startswith(b"{")]
    assert [each["http"] for each in told] == [202, 202, 422]
    writer.close()


@pytest.mark.parametrize("packed", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "path",
    ["/api/consulta-stream", "/api/consultas", "/api/consultas/lote", "/api/cache/invalidar"],
)
async def test_a_body_that_is_not_packed_as_it_says_is_answered_400(
    gateway: Gateway, path: str, packed: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(_without_request)
    headers = {"Content-Type": "application/json", "Content-Encoding": packed}
    async with gateway.request("POST", path, data=BODY, headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, answer.headers["Connection"]) == (400, "close")
    assert "Content-Encoding" in problem["detail"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_body_that_cannot_be_unpacked_ends_its_answer(gateway: Gateway) -> None:
    reader, writer = await gateway.connect()
    head = HEAD.replace(b"application/json", b"application/x-ndjson")
    writer.write(
        b"POST /api/consultas/lote HTTP/1.1\r\n" + head
        + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    )  # fmt: skip
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(BODY + b"\n") + packer.flush(zlib.Z_SYNC_FLUSH)
    writer.write(b"%x\r\n%b\r\n" % (len(packed), packed))
    await asyncio.wait_for(reader.readuntil(b'"indice":0'), PATIENCE)
    writer.write(b"9\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\r\n")
    await rest_of(reader)
    writer.close()
