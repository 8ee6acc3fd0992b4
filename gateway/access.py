"""Who is calling, and whether they may.

Closed by default: a route without a declared scope answers nobody. Without a file of keys the
gateway serves its own machine only, as one tenant with every right (`gateway.security.local`).
"""

import hashlib
import hmac
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.operation import requested
from gateway.problems import Problem
from gateway.security.local import insist_on_local
from shared.keys import SCOPES, ApiKey, Keys, Scope
from shared.settings import Secret
from shared.topology import MAX_PRIORITY

LOCAL: Final = "local"
_BEARER: Final = "Bearer "


@dataclass(frozen=True)
class Caller:
    """Somebody who was let in. `key` is None on a gateway without keys."""

    tenant: str
    scopes: frozenset[Scope]
    key: ApiKey | None = None

    @property
    def highest(self) -> int:
        """The highest priority they may ask for."""
        return self.key.highest if self.key is not None else MAX_PRIORITY

    def sees(self, tenant: str | None) -> bool:
        """Whether a lookup of this tenant is theirs. Without keys there is only one."""
        return self.key is None or tenant == self.tenant


CALLER: Final = web.RequestKey("caller", Caller)
_EVERYBODY: Final = Caller(LOCAL, frozenset(SCOPES))


class Access:
    """Lets callers in by key, or to one lookup's stream by ticket."""

    def __init__(self, keys: Keys | None, secret: Secret, keep_s: float) -> None:
        self.keys, self._keep_s = keys, keep_s
        # Tickets are no digests of identifiers: a key of their own.
        self._secret = hmac.digest(secret.reveal().encode(), b"tickets", "sha256")

    def ticket(self, key: ApiKey, task_id: str, lifetime: float) -> str:
        """A right to follow one lookup, for clients that cannot set headers.

        It is the right of a key, and ends with it. Else it lives as long as there is something to
        follow: one that ends before would stop an EventSource, which takes a 401 for the end.

        Args:
            lifetime: seconds from now until the lookup has ended at the latest.
        """
        end = int(time.time() + lifetime + self._keep_s)
        return f"{end}.{key.id}.{self._sign(end, key.id, task_id)}"

    def address(self, caller: Caller, task_id: str, lifetime: float) -> str:
        """Where a lookup's events are, with a ticket where one is needed; `lifetime` as there."""
        where = f"/api/consultas/{task_id}/eventos"
        if caller.key is None:
            return where
        return f"{where}?ticket={self.ticket(caller.key, task_id, lifetime)}"

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
            insist_on_local(request)
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
def guard(request: web.Request, handler: Handler) -> Awaitable[web.StreamResponse]:
    """Let a request through to its route, with its caller, or not at all. Then it is not in the
    way: a stream would hold its frame.
    """
    known = request.match_info.http_exception is None
    public = request.path == "/" or request.path.startswith(_PUBLIC)
    if known and not public:
        request[CALLER] = request.app[ACCESS].admit(request)
    return handler(request)
