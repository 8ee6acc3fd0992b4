"""The bus client: lookups for a service that speaks RabbitMQ itself.

    async with BusClient(amqp_url, origin="billing") as lookups:
        async for event in lookups.request("cpf", "111.444.777-35", priority=9):
            print(event.seq, event.type, event.data)

Several processes may share an origin. Each listens on a branch of its own, `billing.<random>.#`,
so that none is sent the events of the others, and whoever binds `billing.#` still hears them all.

Nothing is kept for a listener that is away. So after a loss, and on a gap that does not close, the
same request is published again: its task_id is known, so it starts nothing, and whatever the
lookup's log holds is told anew.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from secrets import token_hex
from typing import Final, Self, Unpack
from uuid import uuid4

import msgspec
from aio_pika.abc import AbstractChannel

from consulta.errors import LookupLost, Refused, Unreachable
from consulta.inbox import Inbox
from consulta.options import Options, Pause
from shared.bus import CONFIRM_TIMEOUT, Bus
from shared.domain.trace import TRACE
from shared.errors import BusRefused, BusUnavailable, InvalidInput
from shared.identifiers import Kind, parse
from shared.messages import TERMINAL, Event, Requested, decode_event, encode
from shared.stages import wanted
from shared.topology import LOOKUPS, REQUESTED

# An event that overtook another waits so long for it; services publish within milliseconds.
GAP_S: Final = 5.0
# A lookup ends by its deadline, swept every second; so long after it no end will come any more.
GRACE_S: Final = 10.0
_ORIGIN: Final = re.compile(r"[A-Za-z0-9_-]{1,40}(\.[A-Za-z0-9_-]{1,40}){0,2}")


class _Guest(Bus):
    """A bus whose queues are made by others: a guest needs no right to configure any."""

    async def _declare(self, channel: AbstractChannel) -> None:
        pass


class BusClient:
    """Asks for lookups, and hears their events. Requests may run side by side."""

    def __init__(self, amqp_url: str, origin: str, *, patience: float = 60.0) -> None:
        """Prepare; the connections are made by `async with`.

        Args:
            amqp_url: the broker's address, password included.
            origin: the service that asks, e.g. `billing`: up to three words of a routing key.
            patience: seconds a broker that is away is waited for.

        Raises:
            ValueError: an origin that would not be such words.
        """
        if not _ORIGIN.fullmatch(origin):
            raise ValueError("an origin is one to three words of letters, digits, _ and -")
        self._origin = f"{origin}.{token_hex(5)}"
        self._patience = patience
        self._bus = _Guest(amqp_url, f"client {origin}")
        self._listening = asyncio.Event()
        self._inboxes: dict[str, Inbox] = {}

    async def __aenter__(self) -> Self:
        await self._bus.__aenter__()
        self._bus.listen(f"{self._origin}.#", self._on_event, self._on_listening)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._bus.__aexit__()

    async def request(
        self,
        kind: Kind,
        identifier: str,
        *,
        task_id: str | None = None,
        traceparent: str | None = None,
        **options: Unpack[Options],
    ) -> AsyncGenerator[Event, None]:
        """Look up, and give each event once, in order, to `completo` or `error`.

        Args:
            task_id: UUID of this lookup; by default a fresh one. It is the idempotency key: asked
                for again, even after a crash of the asker, the lookup is not done twice, and its
                events come from the first on.
            traceparent: W3C trace context, passed on as the message's header.

        Raises:
            InvalidInput: the identifier or an option, before anything was published.
            Unreachable: the broker did not confirm the request within `patience`.
            Refused: it refuses the user, the virtual host or a right.
            LookupLost: no end was heard, 10 seconds after the lookup should have had one: its
                state is lost, or its services are away. Asked for again by its task_id, it goes on
                from wherever it is.
        """
        message = self._message(kind, identifier, task_id or str(uuid4()), options)
        await self._heard()
        if message.task_id in self._inboxes:
            raise InvalidInput("task_id", "já está sendo pedido por este cliente")
        inbox = self._inboxes[message.task_id] = Inbox()
        try:
            lifetime = message.delay + message.deadline
            message.expires = datetime.fromtimestamp(time.time() + lifetime, UTC)
            await self._publish(message, traceparent)
            start = _now() + message.delay
            due = start + message.deadline
            end = due + GRACE_S
            message.delay = 0
            while True:
                while (event := inbox.take()) is not None:
                    yield event
                    if event.type in TERMINAL:
                        return
                wait = min(_quiet(inbox, due), max(0.0, end - _now()))
                if await inbox.wait(wait) and not inbox.stale:
                    continue
                if _now() >= end and not inbox.stale:
                    raise LookupLost(message.task_id, "o fim da consulta não foi ouvido")
                # Before its start nothing of it can have been missed.
                if _now() > start:
                    await self._publish(message, traceparent)
                if inbox.stale:
                    # What was told while nobody listened is told again only now.
                    inbox.stale, end = False, max(end, _now() + GRACE_S)
        finally:
            del self._inboxes[message.task_id]

    def _message(self, kind: Kind, identifier: str, task_id: str, options: Options) -> Requested:
        """The request, checked as its consumer will: what it refuses would be a dead letter."""
        message = Requested(
            kind=kind,
            identifier=parse(kind, identifier).value,
            task_id=task_id,
            origin=self._origin,
            **options,
        )
        wanted(kind, message.stages)
        try:
            return msgspec.json.decode(encode(message), type=Requested)
        except msgspec.ValidationError as error:
            field = re.search(r"`\$\.([a-z_]+)", str(error))
            raise InvalidInput(field.group(1) if field else "pedido", "valor inválido") from None

    async def _heard(self) -> None:
        """First listen, then ask."""
        listening = asyncio.create_task(self._listening.wait())
        refused = asyncio.create_task(self._bus.refusal())
        try:
            await asyncio.wait(
                {listening, refused},
                timeout=self._patience,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if refused.done():
                raise _refused(refused.result())
            if not listening.done():
                raise Unreachable("o RabbitMQ não responde")
        finally:
            listening.cancel()
            refused.cancel()

    async def _publish(self, message: Requested, traceparent: str | None) -> None:
        """Until it is confirmed: by its task_id, a copy that had arrived all the same is no harm.

        Raises:
            Unreachable: not within `patience`.
            Refused: it never will be.
        """
        pause = Pause(0.2, 5.0)
        body, end = encode(message), _now() + self._patience
        while True:
            try:
                await self._bus.publish(
                    LOOKUPS,
                    REQUESTED.name,
                    body,
                    priority=message.priority,
                    headers={TRACE: traceparent} if traceparent else None,
                    timeout=min(CONFIRM_TIMEOUT, max(0.1, end - _now())),
                )
            except BusRefused as error:
                raise _refused(error) from None
            except BusUnavailable:
                wait = pause.next()
                if _now() + wait > end:
                    raise Unreachable("o RabbitMQ não aceitou a consulta") from None
                await asyncio.sleep(wait)
            else:
                return

    async def _on_event(self, _: str, body: bytes) -> None:
        # Anybody may publish on the exchange; what is no event is nobody's.
        with suppress(msgspec.DecodeError):
            event = decode_event(body)
            if isinstance(event.task_id, str) and event.task_id in self._inboxes:
                self._inboxes[event.task_id].offer(event)

    def _on_listening(self) -> None:
        self._listening.set()
        for inbox in self._inboxes.values():
            inbox.miss()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _refused(error: BusRefused) -> Refused:
    return Refused(f"o RabbitMQ recusou o acesso: {error}")


def _quiet(inbox: Inbox, due: float) -> float:
    """Seconds without news after which the log is asked for: a gap, or an end that is overdue."""
    return GAP_S if inbox.has_gap else max(GAP_S, due + GAP_S - _now())
