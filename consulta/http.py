"""The HTTP client: lookups streamed through the gateway, and the gateway's other calls.

async with HttpClient("http://127.0.0.1:8080") as client:
    async for event in client.lookup("cpf", "111.444.777-35", priority=9):
        print(event.seq, event.type, event.data)
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Final, Self, TypeVar, Unpack
from urllib.parse import quote, urlsplit
from uuid import uuid4

import aiohttp

from consulta.errors import Unreachable
from consulta.options import Item, Options, body_of
from consulta.problems import decoded, refuse
from consulta.streams import AWAY, Asked, Following
from shared.circuits import Overview
from shared.domain.answers import (
    Accepted,
    Agenda,
    BulkItem,
    CacheStatistics,
    CircuitHold,
    CircuitOrder,
    Done,
    InvalidatePattern,
    InvalidateSubject,
    LookupStatus,
    QueueStatistics,
    Removed,
    SchemaVersion,
)
from shared.identifiers import Kind
from shared.messages import Event, encode
from shared.settings import Secret

Answer = TypeVar("Answer")

# The gateway pings every 10 s: a connection silent for longer is dead, whatever TCP believes.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30)
# Of a long list, answers come only as fast as the queue takes the lookups.
_BULK_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=300)
_JSON: Final = {"Content-Type": "application/json"}
_NDJSON: Final = {"Content-Type": "application/x-ndjson", "Accept": "application/x-ndjson"}


class HttpClient:
    """A gateway, as one asker sees it. Calls may run side by side.

    Every call raises ApiError where the gateway refuses it, and Unreachable where there is none.
    """

    def __init__(self, url: str, key: str | None = None, *, patience: float = 60.0) -> None:
        """Prepare; the connection is made by `async with`.

        Args:
            url: the gateway's address, `http://host:port`, perhaps with a path before `/api`.
            key: an API key, sent as `Authorization: Bearer`.
            patience: seconds a lookup's stream tries to come back before it is given up.

        Raises:
            ValueError: no address of HTTP.
        """
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise ValueError("give an address like http://host:port")
        self._url, self._key, self._patience = url.rstrip("/"), Secret(key or ""), patience
        self._open: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self._key.reveal()}"} if self._key else {}
        # No limit on connections: each stream holds one.
        connector = aiohttp.TCPConnector(limit=0)
        self._open = aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT, connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._open is not None:
            await self._open.close()

    async def lookup(
        self, kind: Kind, identifier: str, **options: Unpack[Options]
    ) -> AsyncGenerator[Event, None]:
        """Look up, and give each event once, in order, to `completo` or `error`.

        A lost connection is taken up again after the last event seen. Whoever leaves the loop
        early leaves the lookup running; `cancel` ends it.

        Raises:
            ApiError: refused, e.g. 422 of the field `identificador`.
            Unreachable: no gateway, or gone before it had said that it accepted the lookup.
            LookupLost: accepted, but not followed to its end within `patience`.
        """
        # The same key whenever it is asked again, so that an answer lost on the way costs nothing.
        headers = {**_JSON, "Idempotency-Key": str(uuid4())}
        body = body_of({"kind": kind, "identifier": identifier, **options})

        def connect(task_id: str | None, seen: int) -> Asked:
            if task_id is not None:
                return self._resume(task_id, seen)
            url = f"{self._url}/api/consulta-stream"
            return self._session.post(url, data=body, headers=headers, allow_redirects=False)

        following = Following(connect, patience=self._patience)
        async with aclosing(following.events()) as events:
            async for event in events:
                yield event

    async def follow(self, task_id: str, seen: int = 0) -> AsyncGenerator[Event, None]:
        """The events of a lookup accepted earlier that follow the first `seen`.

        Raises:
            ApiError: 404 where no such lookup is known.
            LookupLost: not followed to its end within `patience`.
        """

        def connect(_: str | None, seen: int) -> Asked:
            return self._resume(task_id, seen)

        following = Following(connect, patience=self._patience, task_id=task_id, seen=seen)
        async with aclosing(following.events()) as events:
            async for event in events:
                yield event

    async def submit(
        self, kind: Kind, identifier: str, **options: Unpack[Options]
    ) -> Accepted | Done:
        """Ask for a lookup without waiting for it: Done, with its result, if the cache has that."""
        body = body_of({"kind": kind, "identifier": identifier, **options})
        headers = {"Idempotency-Key": str(uuid4())}
        status, told = await self._send("POST", "/api/consultas", body, headers)
        answer: Accepted | Done = decoded(told, Done if status == 200 else Accepted)
        return answer

    async def status(self, task_id: str) -> LookupStatus:
        """How far a lookup is."""
        return await self._call("GET", f"/api/consultas/{_segment(task_id)}", LookupStatus)

    async def cancel(self, task_id: str) -> None:
        """End a lookup; no further provider is called for it. ApiError 409 if it has ended."""
        await self._send("DELETE", f"/api/consultas/{_segment(task_id)}")

    async def bulk(self, items: Iterable[Item]) -> AsyncGenerator[BulkItem, None]:
        """Ask for many; each is answered on its own, as soon as it was accepted or refused.

        They are taken from the iterable as the gateway accepts them, never all at once. Unless
        told otherwise their priority is 1: whoever waits for an answer goes first.
        """

        async def lines() -> AsyncIterator[bytes]:
            for item in items:
                yield body_of(item) + b"\n"

        url = f"{self._url}/api/consultas/lote"
        try:
            async with self._session.post(
                url, data=lines(), headers=_NDJSON, timeout=_BULK_TIMEOUT, allow_redirects=False
            ) as answer:
                await refuse(answer)
                async for line in answer.content:
                    if line.strip():
                        answered: BulkItem = decoded(line, BulkItem)
                        yield answered
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise Unreachable(AWAY) from None

    async def circuits(self) -> dict[str, Overview]:
        """Every provider's breaker, over all replicas."""
        return await self._call("GET", "/api/circuitos", dict[str, Overview])

    async def set_circuit(self, name: str, state: CircuitHold) -> None:
        """Hold a provider's breaker open or closed, or leave it to itself again."""
        body = encode(CircuitOrder(state=state))
        await self._send("PUT", f"/api/circuitos/{_segment(name)}", body)

    async def queues(self) -> QueueStatistics:
        """Every queue with what is in it, its limit, and the permits left."""
        return await self._call("GET", "/api/filas", QueueStatistics)

    async def jobs(self) -> Agenda:
        """The periodic jobs with their last and next run."""
        return await self._call("GET", "/api/agenda", Agenda)

    async def run_job(self, name: str) -> None:
        """Have a periodic job run now, beside its schedule."""
        await self._send("POST", f"/api/agenda/{_segment(name)}", b"{}")

    async def cache_statistics(self) -> CacheStatistics:
        """Keys of this version, hits and misses so far, memory."""
        return await self._call("GET", "/api/cache/estatisticas", CacheStatistics)

    async def invalidate(
        self, kind: Kind | None = None, identifier: str | None = None, *, pattern: str | None = None
    ) -> int:
        """Forget one subject, or all whose key matches `pattern`. Returns how many went."""
        order: InvalidatePattern | InvalidateSubject
        if pattern is None:
            order = InvalidateSubject(kind=kind or "", identifier=identifier or "")
        else:
            order = InvalidatePattern(pattern=pattern)
        return (await self._call("POST", "/api/cache/invalidar", Removed, encode(order))).removed

    async def raise_version(self) -> int:
        """Make everything cached until now invalid, everywhere at once."""
        return (await self._call("POST", "/api/cache/versao", SchemaVersion, b"{}")).version

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._open is None:
            raise RuntimeError("use it as: async with HttpClient(…) as client")
        return self._open

    def _resume(self, task_id: str, seen: int) -> Asked:
        # Made from the task_id: behind a proxy, Location may not be where the client finds it.
        url = f"{self._url}/api/consultas/{_segment(task_id)}/eventos"
        headers = {"Last-Event-ID": str(seen)} if seen else {}
        return self._session.get(url, headers=headers, allow_redirects=False)

    async def _call(
        self,
        method: str,
        path: str,
        into: type[Answer],
        body: bytes | None = None,
    ) -> Answer:
        _, told = await self._send(method, path, body)
        answer: Answer = decoded(told, into)
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        headers = {**_JSON, **(headers or {})} if body is not None else headers
        url = f"{self._url}{path}"
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await refuse(answer)
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise Unreachable(AWAY) from None


def _segment(text: str) -> str:
    return quote(text, safe="")
