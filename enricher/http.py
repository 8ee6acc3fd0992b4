"""One HTTP call to a provider, with whatever can go wrong sorted into `enricher.failures`."""

import email.utils
import socket
import struct
import time
from datetime import UTC
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientSession

from enricher.failures import (
    BadCredential,
    Challenged,
    Disconnected,
    Malformed,
    RateLimited,
    ServerError,
    TimedOut,
    Unavailable,
)

# An empty agent is refused by some edges, and a contact is what their operators ask for.
USER_AGENT: Final = "consulta/0.2 (+https://pypi.org/project/consulta)"
# Records are a few KB; a partner list of a large company some hundred.
MAX_ANSWER: Final = 2 * 1024 * 1024
PAUSE_WITHOUT_WORD: Final = 60.0
LONGEST_PAUSE: Final = 3600.0


def session(stages: int = 1) -> ClientSession:
    """The one session of a process: pooled, bounded, no cookies, no proxy from the environment.

    Args:
        stages: how many share it. Each brings the connections that it would have by itself: else
            one whose provider hangs would use up those of another that asks the same host.
    """
    return ClientSession(
        connector=aiohttp.TCPConnector(
            limit=400 * stages,
            limit_per_host=200 * stages,
            ttl_dns_cache=60,
            socket_factory=_socket,
        ),
        response_class=_Response,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
    )


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    # A kernel goes on sending what a closed connection still holds, for minutes. A call that was
    # given up, or whose process died, must not arrive then: its permit may be somebody else's.
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return made


class _Response(ClientResponse):
    def close(self) -> None:
        """Give it up. TLS would wait for a farewell first, and its connection stay open so long."""
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()
        super().close()


class Reply(msgspec.Struct, frozen=True):
    """A status below 500 that is not 401, 403 or 429, and its JSON (None where it has none)."""

    status: int
    body: bytes
    is_json: bool

    def read(self, into: Any) -> Any:
        """The body as a type.

        Raises:
            Malformed: it is not that.
        """
        if not self.is_json:
            raise Malformed("not JSON")
        try:
            return msgspec.json.decode(self.body, type=into, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # Without the decoder's text, which may quote the record.
            raise Malformed("not the promised format") from None


async def call(
    session: ClientSession, method: str, url: str, *, timeout: float, **options: Any
) -> Reply:
    """Make one call and sort its outcome.

    Args:
        timeout: seconds for all of it.
        options: as for `ClientSession.request` (json, data, headers, auth …).

    Raises:
        RateLimited, BadCredential, Challenged, ServerError, Unavailable, TimedOut, Disconnected,
        Malformed.
    """
    limit = aiohttp.ClientTimeout(total=timeout)
    options |= {"timeout": limit, "allow_redirects": False, "middlewares": (_once,)}
    try:
        async with session.request(method, url, **options) as response:
            body = await response.content.read(MAX_ANSWER + 1)
            while len(body) <= MAX_ANSWER and not response.content.at_eof():
                body += await response.content.read(MAX_ANSWER + 1 - len(body))
            return _sorted(response, body)
    except TimeoutError:
        raise TimedOut(f"no answer within {timeout:g} s") from None
    except aiohttp.ClientError as error:
        # Its text may hold the URL, and some providers want the identifier in there.
        raise Disconnected(type(error).__name__) from None


async def _once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    # aiohttp makes a GET a second time by itself when its connection breaks. That call would cost
    # no permit, be in no metric, and a provider that bills might bill it.
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise Disconnected(type(error).__name__) from None


def _sorted(response: ClientResponse, body: bytes) -> Reply:
    status = response.status
    is_json = response.content_type.endswith("json")
    wait = pause(response.headers.get("Retry-After"))
    if status == 429:
        raise RateLimited(PAUSE_WITHOUT_WORD if wait is None else wait)
    if status == 503 and wait is not None:
        raise Unavailable(wait)
    if status >= 500:
        raise ServerError(f"status {status}")
    # Challenges are 403; a 401 is about the key even where its body is XML or text.
    if status == 401 or (status == 403 and is_json):
        raise BadCredential(f"status {status}")
    if status == 403:
        raise Challenged(f"status {status}")
    if 300 <= status < 400 or len(body) > MAX_ANSWER:
        raise Malformed(f"status {status}, {len(body)} bytes")
    if status < 300 and not is_json:
        raise Malformed(f"{response.content_type} in place of JSON")
    return Reply(status, body, is_json)


def pause(retry_after: str | None, now: float | None = None) -> float | None:
    """Seconds to keep away: `Retry-After` as seconds or as a date, at least 1; None if unsaid."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return min(max(1.0, float(retry_after)), LONGEST_PAUSE)
    try:
        date = email.utils.parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    # Without a zone it is UTC (RFC 9110), never this machine's own.
    until = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    return min(max(1.0, until - (time.time() if now is None else now)), LONGEST_PAUSE)
