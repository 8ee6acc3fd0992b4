"""One call to a provider: every outcome is a reply or a failure of its own class."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import uvloop
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from enricher.failures import (
    BadCredential,
    Challenged,
    Disconnected,
    Failure,
    Malformed,
    RateLimited,
    ServerError,
    TimedOut,
    Unavailable,
)
from enricher.http import (
    LONGEST_PAUSE,
    MAX_ANSWER,
    PAUSE_WITHOUT_WORD,
    USER_AGENT,
    Reply,
    call,
    pause,
    session,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Stands for an identifier, which some providers want in the path.
SECRET = "52998224725"
JSON, TEXT, HTML = "application/json", "text/plain", "text/html"


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Callable[..., Awaitable[Reply]]]:
    """A function that calls the handler."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server, session() as http:

        async def ask(method: str = "GET", *, timeout: float = 5, **options: Any) -> Reply:
            url = str(server.make_url(f"/{SECRET}"))
            return await call(http, method, url, timeout=timeout, **options)

        yield ask


def answering(status: int, content_type: str, body: bytes = b"{}") -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

    return handler


@pytest.mark.parametrize(
    ("status", "content_type", "is_json"),
    [(200, JSON, True), (206, JSON, True), (200, "application/problem+json", True),
     (200, "application/json; charset=utf-8", True), (400, JSON, True), (404, JSON, True),
     (404, HTML, False), (422, JSON, True), (402, TEXT, False)],
)  # fmt: skip
async def test_what_the_provider_itself_has_to_explain_is_a_reply(
    status: int, content_type: str, is_json: bool
) -> None:
    async with serving(answering(status, content_type)) as ask:
        reply = await ask()
    assert (reply.status, reply.is_json, reply.body) == (status, is_json, b"{}")


@pytest.mark.parametrize(
    ("status", "content_type", "failure"),
    [(200, HTML, Malformed), (200, TEXT, Malformed), (200, "application/octet-stream", Malformed),
     (204, TEXT, Malformed), (301, HTML, Malformed), (304, JSON, Malformed),
     (401, JSON, BadCredential), (401, "text/xml", BadCredential), (401, HTML, BadCredential),
     (403, JSON, BadCredential), (403, HTML, Challenged), (403, TEXT, Challenged),
     (429, JSON, RateLimited), (429, TEXT, RateLimited),
     (500, JSON, ServerError), (502, HTML, ServerError), (503, TEXT, ServerError),
     (504, JSON, ServerError), (599, TEXT, ServerError)],
)  # fmt: skip
async def test_every_other_status_and_type_is_a_failure_of_its_class(
    status: int, content_type: str, failure: type[Failure]
) -> None:
    body = b"" if status in {204, 304} else b"{}"
    async with serving(answering(status, content_type, body)) as ask:
        with pytest.raises(failure) as caught:
            await ask()
    assert type(caught.value) is failure
    assert SECRET not in str(caught.value)


async def test_a_redirect_is_not_followed() -> None:
    # To follow it could take a key, or personal data, to another host.
    paths = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        raise web.HTTPFound("/elsewhere")

    async with serving(handler) as ask:
        with pytest.raises(Malformed):
            await ask()
    assert paths == [f"/{SECRET}"]


async def test_the_largest_answer_is_read_and_one_byte_more_is_not() -> None:
    body = b'"' + b"x" * (MAX_ANSWER - 2) + b'"'
    async with serving(answering(200, JSON, body)) as ask:
        assert len((await ask()).body) == MAX_ANSWER
    async with serving(answering(200, JSON, body + b" ")) as ask:
        with pytest.raises(Malformed):
            await ask()


async def test_an_endless_answer_is_left_early() -> None:
    written = 0
    left = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers={"Content-Type": JSON})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
                written += 65536
        finally:
            left.set()

    async with serving(handler) as ask:
        with pytest.raises(Malformed):
            await ask()
        await left.wait()
    # Socket buffers hold what nobody reads.
    assert written < 20 * MAX_ANSWER


async def test_a_small_answer_that_unpacks_to_a_large_one_is_too_large() -> None:
    async def handler(_: web.Request) -> web.Response:
        response = web.Response(body=b" " * (8 * MAX_ANSWER), headers={"Content-Type": JSON})
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serving(handler) as ask:
        with pytest.raises(Malformed):
            await ask()


async def test_a_call_that_takes_too_long_is_a_timeout() -> None:
    over = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with serving(handler) as ask:
        with pytest.raises(TimedOut):
            await ask(timeout=0.05)
        over.set()


async def test_an_answer_that_trickles_is_a_timeout() -> None:
    over = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": JSON})
        await response.prepare(request)
        await response.write(b"{")
        await over.wait()
        return response

    async with serving(handler) as ask:
        with pytest.raises(TimedOut):
            await ask(timeout=0.05)
        over.set()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_broken_connection_is_one_call_and_not_two(method: str) -> None:
    # aiohttp would make the GET again by itself, unseen by permits, metrics and bills.
    calls = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        if calls == 1:
            return web.json_response({})
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(handler) as ask:
        # The second call takes the connection the first has left open.
        await ask(method)
        with pytest.raises(Disconnected) as caught:
            await ask(method)
    assert calls == 2
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_an_answer_cut_off_in_its_middle_is_a_disconnection() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": JSON, "Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(handler) as ask:
        with pytest.raises(Disconnected):
            await ask()


@pytest.mark.parametrize(
    "url",
    [f"http://127.0.0.1:1/{SECRET}", f"http:///{SECRET}", f"http://a:x/{SECRET}"],
)
async def test_an_address_nobody_answers_at_is_a_disconnection(url: str) -> None:
    async with session() as http:
        with pytest.raises(Disconnected) as caught:
            await call(http, "GET", url, timeout=5)
    assert SECRET not in str(caught.value)


async def test_a_call_says_who_calls_and_keeps_no_cookies() -> None:
    heard = []

    async def handler(request: web.Request) -> web.Response:
        heard.append((request.headers["User-Agent"], request.headers.get("Cookie")))
        response = web.json_response({})
        response.set_cookie("visitor", "1")
        return response

    async with serving(handler) as ask:
        await ask()
        await ask()
    assert heard == [(USER_AGENT, None)] * 2
    assert "+http" in USER_AGENT


async def test_a_limit_comes_with_its_pause() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "17"})

    async with serving(handler) as ask:
        with pytest.raises(RateLimited) as caught:
            await ask()
    assert caught.value.retry_after == 17


async def test_a_provider_that_is_down_may_say_when_to_come_back() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "17"})

    async with serving(handler) as ask:
        with pytest.raises(Unavailable) as caught:
            await ask()
    assert caught.value.retry_after == 17
    assert isinstance(caught.value, ServerError)


async def test_without_a_word_of_it_a_limit_has_its_usual_pause_and_an_outage_none() -> None:
    for status, failure, wait in ((429, RateLimited, PAUSE_WITHOUT_WORD), (503, ServerError, None)):
        async with serving(answering(status, TEXT)) as ask:
            with pytest.raises(Failure) as caught:
                await ask()
        assert type(caught.value) is failure
        assert getattr(caught.value, "retry_after", None) == wait


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(None, None), ("", None), ("soon", None),
     ("-5", None), ("1.5", None), ("0", 1), ("1", 1), (" 30 ", 30),
     ("9" * 400, LONGEST_PAUSE), ("86400", LONGEST_PAUSE),
     ("Wed, 25 Feb 2026 14:30:45 GMT", 45), ("Wed, 25 Feb 2026 14:30:45 -0000", 45),
     ("Wed, 25 Feb 2026 11:30:45 -0300", 45), ("Wed, 25 Feb 2026 14:29:00 GMT", 1),
     ("Wed, 25 Feb 2027 14:30:45 GMT", LONGEST_PAUSE),
     ("Wed, 25 Feb 99999999999999999999 14:30:45 GMT", None)],
)  # fmt: skip
def test_a_pause_is_what_the_provider_says_within_bounds(
    retry_after: str | None, seconds: float | None
) -> None:
    now = datetime(2026, 2, 25, 14, 30, tzinfo=UTC).timestamp()
    assert pause(retry_after, now) == seconds


@given(st.text() | st.from_regex(r"\w{3}, \d+ (Jan|Feb) \d+ \d+:\d+:\d+ ([+-]\d+|GMT)?"))
def test_whatever_the_header_holds_the_pause_has_bounds(retry_after: str) -> None:
    assert 1 <= (pause(retry_after) or 1) <= LONGEST_PAUSE


@pytest.mark.parametrize(
    "reply",
    [Reply(200, b"{}", False), Reply(200, b"", True), Reply(200, b"{", True),
     Reply(200, b"\xff", True), Reply(200, b'["52998224725"]', True),
     Reply(200, b"[" * 100_000, True)],
)  # fmt: skip
def test_a_body_of_another_format_is_malformed_and_not_quoted(reply: Reply) -> None:
    with pytest.raises(Malformed) as caught:
        reply.read(dict[str, Any])
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_new_fields_do_not_matter() -> None:
    assert Reply(200, b'{"new": 1}', True).read(dict[str, Any]) == {"new": 1}


async def test_a_session_of_any_kind_makes_a_get_only_once() -> None:
    calls = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestServer(app) as server, ClientSession() as http:
        with pytest.raises(Disconnected):
            await call(http, "GET", str(server.make_url("/")), timeout=5)
    assert calls == 1


def anonymous(side: int) -> ssl.SSLContext:
    """TLS without certificates, of which a test has none."""
    context = ssl.SSLContext(side)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")
    return context


def end_of_connection(server: socket.socket, scheme: str, asked: Callable[[], object]) -> str:
    """How one call's connection ends at a server that never answers it."""
    connection = server.accept()[0]
    connection.settimeout(10)
    if scheme == "https":
        connection = anonymous(ssl.PROTOCOL_TLS_SERVER).wrap_socket(connection, server_side=True)
    while b"{}" not in (received := connection.recv(4096)):
        assert received, "it ended before the call was read"
    asked()
    # Below TLS, which takes a reset for an end.
    with socket.socket(fileno=connection.detach()) as bare:
        bare.settimeout(10)
        try:
            return "with a farewell" if bare.recv(4096) else "in good order"
        except ConnectionResetError:
            return "reset"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_connection_of_a_call_that_is_given_up_is_reset(
    factory: Callable[[], asyncio.AbstractEventLoop], scheme: str
) -> None:
    # Else the kernel goes on sending what has not arrived yet.
    async def main(server: socket.socket) -> None:
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        seen = asyncio.to_thread(
            end_of_connection, server, scheme, lambda: loop.call_soon_threadsafe(asked.set)
        )
        seeing = asyncio.create_task(seen)
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/"
        tls = anonymous(ssl.PROTOCOL_TLS_CLIENT)
        async with session() as http:
            calling = asyncio.create_task(call(http, "POST", url, timeout=30, json={}, ssl=tls))
            await asked.wait()
            calling.cancel()
            # Before the session ends, and with it all of its connections.
            assert await seeing == "reset"

    server = socket.create_server(("127.0.0.1", 0))
    with server, asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(server))


async def test_a_connection_whose_answer_was_read_serves_the_next_call() -> None:
    peers = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(body=b"{}", content_type=JSON)

    async with serving(handler) as ask:
        for _ in range(3):
            assert (await ask()).status == 200
    assert len(peers) == 1
