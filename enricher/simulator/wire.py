"""What a provider is to the simulator: endpoints that turn a call into an answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

# A person trying keys by hand, and tests, need one that is refused.
REVOKED: Final = "revogada"

_encode: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Call:
    """One request to a provider.

    `parts` are the variables of the path. `hidden` asks for the provider's own not-found answer
    though it knows the record. `label` names the call in the log, never by an identifier; `subject`
    is the identifier, of which the log gets a digest.
    """

    parts: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    hidden: bool
    label: str
    subject: str

    def bearer(self) -> str:
        """The key after `Bearer`, or nothing."""
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path under the provider's base URL, as aiohttp writes patterns."""

    label: str
    method: str
    path: str
    answer: Callable[[Call], web.Response]


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider: its name, its usual latency, and its manner of refusing.

    `refuse` gives the answer for 405, 429, 500 and 503; `forget` drops what it keeps between
    calls.
    """

    name: str
    latency_ms: int
    endpoints: tuple[Endpoint, ...]
    refuse: Callable[[int], web.Response]
    forget: Callable[[], None] = lambda: None


def json_answer(status: int, content: object) -> web.Response:
    """An answer in JSON."""
    return web.Response(
        status=status,
        body=_encode(content),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )


def text_answer(status: int, text: str) -> web.Response:
    """An answer in plain text, as edges refuse."""
    return web.Response(status=status, text=text)


def html_answer(status: int, title: str) -> web.Response:
    """A page, where a program hoped for JSON."""
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return web.Response(status=status, text=page, content_type="text/html")


EDGE_TEXTS: Final = {
    405: "Method Not Allowed",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def edge_refusal(status: int) -> web.Response:
    """How a content network refuses on behalf of whoever stands behind it."""
    return text_answer(status, EDGE_TEXTS[status])
