"""Who is calling, and whether they may.

Closed by default: a route without a declared scope answers nobody. Without a file of keys the
gateway serves its own machine only, as one tenant with every right; it then also insists on a
local `Host`, or any web page could reach it through a name that resolves to loopback.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.headers import ORIGIN
from gateway.operation import requested
from gateway.problems import Problem
from shared.keys import SCOPES, ApiKey, Keys, Scope
from shared.settings import LOOPBACK, Secret

# Long enough to reconnect to a lookup that runs, short enough to be worth little in a log.
TICKET_S: Final = 900
LOCAL: Final = "local"
_BEARER: Final = "Bearer "


@dataclass(frozen=True)
class Caller:
    """Somebody who was let in. `key` is None on a gateway without keys."""

    tenant: str
    scopes: frozenset[Scope]
    key: ApiKey | None = None

    def sees(self, tenant: str | None) -> bool:
        """Whether a lookup of this tenant is theirs. Without keys there is only one."""
        return self.key is None or tenant == self.tenant


CALLER: Final = web.RequestKey("caller", Caller)
_EVERYBODY: Final = Caller(LOCAL, frozenset(SCOPES))


class Access:
    """Lets callers in by key, or to one lookup's stream by ticket."""

    def __init__(self, keys: Keys | None, secret: Secret) -> None:
        self.keys = keys
        # Tickets are no digests of identifiers: a key of their own.
        self._secret = hmac.digest(secret.reveal().encode(), b"tickets", "sha256")

    def ticket(self, key: ApiKey, task_id: str) -> str:
        """A short-lived right to follow one lookup, for clients that cannot set headers.

        It is the right of a key, and ends with it.
        """
        end = int(time.time()) + TICKET_S
        return f"{end}.{key.id}.{self._sign(end, key.id, task_id)}"

    def address(self, caller: Caller, task_id: str) -> str:
        """Where a lookup's events are, with a ticket where one is needed."""
        where = f"/api/consultas/{task_id}/eventos"
        return f"{where}?ticket={self.ticket(caller.key, task_id)}" if caller.key else where

    def holds(self, caller: Caller) -> bool:
        """Whether somebody who was let in still would be: a key may be revoked meanwhile."""
        if self.keys is None or caller.key is None:
            return True
        return self.keys.current(caller.key.id) is not None

    def admit(self, request: web.Request) -> Caller:
        """The caller of a request.

        Raises:
            Problem: 401 not known, 403 known and not allowed.
        """
        wanted = requested(request)
        if wanted is None:
            raise Problem(403, "esta rota não atende ninguém")
        if self.keys is None:
            _insist_on_local(request)
            return _EVERYBODY
        caller = self._by_key(request) or self._by_ticket(request)
        if caller is None:
            headers = {"WWW-Authenticate": 'Bearer realm="consulta"'}
            raise Problem(401, "envie Authorization: Bearer <chave>", headers=headers)
        if wanted.scope not in caller.scopes:
            raise Problem(403, f"esta chave não tem o escopo {wanted.scope}")
        return caller

    def _by_key(self, request: web.Request) -> Caller | None:
        header = request.headers.get("Authorization", "")
        if self.keys is None or not header.startswith(_BEARER):
            return None
        key = self.keys.find(header[len(_BEARER) :].strip())
        return Caller(key.tenant, frozenset(key.scopes), key) if key is not None else None

    def _by_ticket(self, request: web.Request) -> Caller | None:
        """A ticket opens the stream it was made for, and nothing else."""
        ticket, task_id = request.query.get("ticket"), request.match_info.get("task_id")
        wanted = requested(request)
        opens = wanted is not None and wanted.ticket
        if self.keys is None or not ticket or not task_id or not opens:
            return None
        end, _, rest = ticket.partition(".")
        name, _, signature = rest.partition(".")
        if not (end.isascii() and end.isdecimal()) or len(end) > 12 or int(end) < time.time():
            return None
        told = signature.encode(errors="replace")
        good = hmac.compare_digest(told, self._sign(int(end), name, task_id).encode())
        key = self.keys.current(name)
        return Caller(key.tenant, frozenset({"acompanhar"}), key) if good and key else None

    def _sign(self, end: int, name: str, task_id: str) -> str:
        text = f"{end}.{name}.{task_id}".encode(errors="replace")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()


ACCESS: Final = web.AppKey("access", Access)
_PUBLIC: Final = ("/static/", "/openapi.json", "/asyncapi.json", "/docs")


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through to its route, with its caller, or not at all."""
    known = request.match_info.http_exception is None
    public = request.path == "/" or request.path.startswith(_PUBLIC)
    if known and not public:
        request[CALLER] = request.app[ACCESS].admit(request)
    return await handler(request)


def _insist_on_local(request: web.Request) -> None:
    """Without keys the way here is what tells friend from stranger.

    Raises:
        Problem: 403, the request came by a foreign name, or from a page of a foreign address: a
            browser sends some calls of any page here, with a body or without.
    """
    if not _is_local(request.host):
        raise Problem(403, "sem chaves de API, só pelo endereço local (127.0.0.1)")
    page = request.headers.get("Origin")
    if page is not None and ORIGIN not in request and not _is_local(page.partition("://")[2]):
        raise Problem(403, "sem chaves de API, só páginas locais ou de CORS_ORIGINS")


def _is_local(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name.strip("[]") in LOOPBACK
