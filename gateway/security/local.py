"""Without keys, the way a request came is what tells friend from stranger.

A connection from loopback is no proof: a proxy on this machine makes one for whoever calls it,
and a browser for whatever page it shows.
"""

import re
from functools import lru_cache
from typing import Final

from aiohttp import HttpVersion11, web

from gateway.headers import ORIGIN
from gateway.problems import Problem
from shared.settings import LOOPBACK

# What proxies and delivery networks add to say for whom they call.
_OF_PROXIES: Final = re.compile(
    r"forwarded(-for)?|x-forwarded(-.*)?|x-original-.*|x-envoy-.*|via|cdn-loop"
    r"|.*(client|connecting|real)-?ip(v?6)?",
    re.IGNORECASE,
)


def insist_on_local(request: web.Request) -> None:
    """Let through only what a program or a page of this machine has sent by itself.

    Raises:
        Problem: 403, it came by a foreign name, through a proxy, or from a page of a foreign
            address: a browser sends some calls of any page here, with a body or without.
    """
    if not _is_local(_called(request)):
        raise Problem(403, "sem chaves de API, só pelo endereço local (127.0.0.1)")
    if _is_passed_on(request):
        raise Problem(
            403,
            "sem chaves de API, só sem proxy no caminho: atrás de um, crie chaves com "
            "`python -m consulta keys add` e defina API_KEYS_FILE",
        )
    page = request.headers.get("Origin")
    if page is not None and ORIGIN not in request and not _is_local(page.partition("://")[2]):
        raise Problem(403, "sem chaves de API, só páginas locais ou de CORS_ORIGINS")


def _called(request: web.Request) -> str:
    """The name that it was called by. `request.host` knows it, too, and keeps it for as long as a
    stream lasts; it is needed where the header is not all: the name may stand in the path.
    """
    host = request.headers.get("Host")
    return host if host is not None and request.raw_path.startswith("/") else request.host


def _is_passed_on(request: web.Request) -> bool:
    """Whether a proxy sent it. nginx that was told nothing adds no header, but speaks HTTP/1.0."""
    return request.version < HttpVersion11 or _are_of_proxies(tuple(request.headers))


@lru_cache(maxsize=256)
def _are_of_proxies(headers: tuple[str, ...]) -> bool:
    """Whether any is. A client sends the same ones with each of its requests."""
    return any(map(_OF_PROXIES.fullmatch, headers))


def _is_local(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name.strip("[]") in LOOPBACK
