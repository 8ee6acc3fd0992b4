"""Dead letters: look at them without losing one, replay them, or purge them.

A message is looked at by taking it without an ack; it goes back to its old place when the channel
closes, whatever happens to this process. A replay publishes first, waits for the confirm, and only
then takes the dead one away: whatever dies in between, the message is there once or twice, never
not at all, and every consumer of ours is idempotent.

    async with DeadLetters(amqp_url) as dead:
        for letter in await dead.letters("stage.endereco"):
            print(letter.message_id, letter.reason)
        await dead.replay("stage.endereco")
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Self
from uuid import uuid4

import aio_pika
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, DeliveryError

from consulta.errors import ClientError, Unreachable
from consulta.letters import NAMES, DeadLetter, letter_of, priority_of
from shared.bus import CONFIRM_TIMEOUT
from shared.domain.trace import TRACE
from shared.topology import LOOKUPS


class UnknownLetter(ClientError):
    """There is no such queue, or no such message in it."""


@dataclass(frozen=True)
class Replayed:
    """How many went back to work, and how many stayed since nobody knows where to."""

    replayed: int
    kept: int


class DeadLetters:
    """The dead queues of one broker."""

    def __init__(self, amqp_url: str) -> None:
        self._url = amqp_url
        self._open: AbstractConnection | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: the broker is away, or refuses the user.
        """
        try:
            self._open = await aio_pika.connect(self._url, timeout=10)
        except (AMQPError, OSError, TimeoutError, RuntimeError):
            # The error's own text may hold the URL, and the URL a password.
            raise Unreachable("o RabbitMQ não responde ou recusou o acesso") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._open is not None:
            await self._open.close()

    async def counts(self) -> dict[str, int]:
        """How many dead letters there are, by the name of their queue."""
        found = {}
        for name in NAMES:
            try:
                async with self._queue(name) as (queue, _):
                    found[name] = queue.declaration_result.message_count or 0
            except UnknownLetter:
                found[name] = 0  # no service has run here yet
        return found

    async def letters(self, name: str, limit: int = 50) -> list[DeadLetter]:
        """The oldest dead letters of a queue.

        Raises:
            UnknownLetter: no such queue.
        """
        found: list[DeadLetter] = []
        async with aclosing(self._walk(name)) as walk:
            async for taken in walk:
                found.append(taken.letter)
                if len(found) >= limit:
                    break
        return found

    async def letter(self, name: str, which: str) -> DeadLetter:
        """One dead letter.

        Args:
            which: its message_id, or its position.

        Raises:
            UnknownLetter: no such queue or message.
        """
        async with self._found(name, which) as taken:
            return taken.letter

    async def replay(self, name: str, which: str | None = None) -> Replayed:
        """Send one dead letter, or all that are there now, back to work.

        Raises:
            UnknownLetter: no such queue or message.
            Unreachable: a message was not confirmed; it and those after it are still dead.
        """
        if which is not None:
            async with self._found(name, which) as taken:
                if not taken.letter.queue:
                    raise UnknownLetter("não se sabe a que fila esta mensagem pertence")
                await taken.replay()
            return Replayed(1, 0)
        replayed = kept = 0
        async with aclosing(self._walk(name)) as walk:
            async for taken in walk:
                if taken.letter.queue:
                    await taken.replay()
                    replayed += 1
                else:
                    kept += 1
        return Replayed(replayed, kept)

    async def purge(self, name: str, which: str | None = None) -> int:
        """Forget one dead letter, or all of a queue. Returns how many went.

        Raises:
            UnknownLetter: no such queue or message.
        """
        if which is not None:
            async with self._found(name, which) as taken:
                await taken.ack()
            return 1
        async with self._queue(name) as (queue, _):
            with _translated():
                done = await queue.purge()
        return done.message_count or 0

    @asynccontextmanager
    async def _found(self, name: str, which: str) -> AsyncIterator["_Taken"]:
        async with aclosing(self._walk(name)) as walk:
            async for taken in walk:
                if which in {taken.letter.message_id, str(taken.letter.position)}:
                    yield taken
                    return
        raise UnknownLetter("não há mensagem com este número ou message_id nesta fila")

    async def _walk(self, name: str) -> AsyncGenerator["_Taken", None]:
        """Every letter that is there now, once. Those not acked go back when the walk ends."""
        async with self._queue(name) as (queue, channel):
            # Counted first: one that dies anew while all are replayed is not met again.
            for position in range(1, (queue.declaration_result.message_count or 0) + 1):
                with _translated():
                    incoming = await queue.get(fail=False, timeout=None)
                if incoming is None:
                    return
                yield _Taken(letter_of(name, position, incoming), incoming, channel)

    @asynccontextmanager
    async def _queue(self, name: str) -> AsyncIterator[tuple[AbstractQueue, AbstractChannel]]:
        if self._open is None:
            raise RuntimeError("use it as: async with DeadLetters(…) as dead")
        if name not in NAMES:
            raise UnknownLetter(f"não há fila com este nome; existem {', '.join(NAMES)}")
        with _translated():
            channel = await self._open.channel(publisher_confirms=True, on_return_raises=True)
        try:
            with _translated():
                queue = await channel.get_queue(f"{name}.dead")
            yield queue, channel
        finally:
            # What was only looked at goes back to its place with the channel.
            with _translated():
                await channel.close()


@dataclass(frozen=True)
class _Taken:
    """A dead letter in hand."""

    letter: DeadLetter
    incoming: AbstractIncomingMessage
    channel: AbstractChannel

    async def replay(self) -> None:
        """Publish it to its work queue as a message of the first attempt, then take it away."""
        trace = self.incoming.headers.get(TRACE)
        message = Message(
            self.incoming.body,
            content_type="application/json",
            delivery_mode=DeliveryMode.PERSISTENT,
            priority=priority_of(self.incoming.body),
            message_id=uuid4().hex,
            # Nothing else: attempts begin anew, and a message with an old x-death is confirmed
            # and then dropped as a cycle by RabbitMQ before 4.0.1.
            headers={TRACE: trace} if trace is not None else {},
        )
        with _translated():
            work = await self.channel.get_exchange(LOOKUPS, ensure=False)
            await work.publish(message, self.letter.queue, mandatory=True, timeout=CONFIRM_TIMEOUT)
        await self.ack()

    async def ack(self) -> None:
        """Take it away."""
        with _translated():
            await self.incoming.ack()


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of ours for those of aio-pika."""
    try:
        yield
    except ChannelNotFoundEntity:
        raise UnknownLetter("esta fila ainda não existe neste RabbitMQ") from None
    except DeliveryError:
        raise Unreachable("o RabbitMQ não aceitou a mensagem, que continua morta") from None
    except (AMQPError, OSError, TimeoutError, RuntimeError):
        raise Unreachable("o RabbitMQ não responde") from None
