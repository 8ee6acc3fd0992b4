"""Follow one lookup over as many connections as it takes."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final

import aiohttp
import msgspec

from consulta.errors import ApiError, ClientError, LookupLost, Unreachable
from consulta.options import Pause
from consulta.problems import refuse
from consulta.sse import SseParser
from shared.messages import TERMINAL, Event, decode_event

AWAY: Final = "o gateway não responde"
Asked = AbstractAsyncContextManager[aiohttp.ClientResponse]
# Made by the gateway, so that nothing else can come into an address built with it.
_TASK: Final = re.compile(r"/api/consultas/([0-9a-fA-F-]{36})/eventos")
# What passes: the limit, and the gateway, its servers, or a proxy before it being away.
_PASSING: Final = frozenset({429, 500, 502, 503, 504})


class Following:
    """One lookup's events, each once and in order, over lost connections.

    Every event has a sequence number, so what was seen is one number; the gateway is asked for
    what follows it.
    """

    def __init__(
        self,
        connect: Callable[[str | None, int], Asked],
        *,
        patience: float,
        task_id: str | None = None,
        seen: int = 0,
    ) -> None:
        """Prepare.

        Args:
            connect: opens the stream of a task_id after so many events; without a task_id it
                asks for the lookup, again and again the same one.
            patience: seconds without a single event or ping until it is given up.
            task_id: of a lookup that was accepted before.
            seen: how many of its events are not wanted.
        """
        self._connect, self._patience = connect, patience
        self._task, self._seen = task_id, seen
        # By type, for a gateway whose log was set back: see `_is_new`.
        self._told: set[str] = set()
        self._set_back = False
        self._pause = Pause()
        self._retry = 0.0
        self._down_since: float | None = None

    async def events(self) -> AsyncGenerator[Event, None]:
        """To `completo` or `error`.

        Raises:
            ApiError, Unreachable: the lookup was not accepted, or is not known.
            LookupLost: accepted, but out of reach for longer than `patience`.
        """
        while True:
            try:
                async with aclosing(self._connected()) as events:
                    async for event in events:
                        yield event
                        if event.type in TERMINAL:
                            return
                reason: ClientError = Unreachable("a conexão com o gateway caiu")
            except ApiError as error:
                if self._task is None or error.status not in _PASSING:
                    raise
                reason, self._retry = error, error.retry_after or 0.0
            except aiohttp.ClientConnectorError:
                # Nobody there at the very first try: an address to mend, not a loss.
                reason = Unreachable(AWAY)
                if self._task is None and self._down_since is None:
                    raise reason from None
            except (aiohttp.ClientError, TimeoutError, OSError):
                reason = Unreachable("a conexão com o gateway caiu")
            await self._wait(reason)

    async def _connected(self) -> AsyncGenerator[Event, None]:
        """The new events of one connection."""
        async with self._connect(self._task, self._seen) as answer:
            await refuse(answer)
            self._task = self._task or _task_of(answer)
            if answer.status == 204:
                raise LookupLost(self._task, "a consulta terminou e o seu fim não foi visto")
            parser = SseParser()
            async for chunk in answer.content.iter_any():
                # A ping will do: the stream lives, however long the lookup waits.
                self._down_since = None
                for type_, data in parser.feed(chunk):
                    if type_ == "reset":
                        self._seen, self._set_back = 0, True
                    event = _event(type_, data)
                    if event is not None and self._is_new(event):
                        self._pause.reset()
                        yield event
                self._retry = parser.retry or 0.0

    def _is_new(self, event: Event) -> bool:
        """Whether the event was not told yet, by its number.

        A Redis that died may have lost the last second of its log, and then the numbers after it
        are given again, perhaps to other events: from such a `reset` on its type counts as well.
        """
        seq = event.seq if isinstance(event.seq, int) else 0
        known = seq <= self._seen or (self._set_back and event.type in self._told)
        self._seen = max(seq, self._seen)
        self._told.add(event.type)
        return not known or event.type in TERMINAL

    async def _wait(self, reason: ClientError) -> None:
        """Until it is worth trying again.

        Raises:
            LookupLost, Unreachable: that was the last try.
        """
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
        pause = self._pause.next(self._retry)
        if now + pause - self._down_since > self._patience:
            if self._task is None:
                raise reason
            raise LookupLost(self._task, f"{reason}; a consulta foi aceita") from None
        await asyncio.sleep(pause)


def _task_of(answer: aiohttp.ClientResponse) -> str:
    found = _TASK.search(answer.headers.get("Location", ""))
    if found is None:
        raise ApiError(answer.status, "", "a resposta não é a de um gateway: falta Location")
    return found.group(1)


def _event(type_: str, data: bytes) -> Event | None:
    """An event of the lookup; None for what is of the stream itself, such as `reset`."""
    try:
        event = decode_event(data)
    except msgspec.DecodeError:
        return None
    return event if event.type == type_ else None
