"""What a dead letter is, and what can be read from it."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aio_pika.abc import AbstractIncomingMessage

from shared.consumer import ATTEMPT
from shared.messages import MAX_BODY
from shared.topology import DELAY_LEVELS, MAX_PRIORITY, QUEUES, UNROUTABLE

# Names without `.dead`; messages whose delay ended at a queue that is gone are unroutable.
NAMES: Final = (*(queue.name for queue in QUEUES), UNROUTABLE)
_WORK: Final = frozenset(queue.name for queue in QUEUES)
_DEFAULT_PRIORITY: Final = 5


@dataclass(frozen=True)
class DeadLetter:
    """A message that could not be handled.

    Attributes:
        position: its place in the queue, the oldest is 1. Others may move it.
        queue: the work queue a replay brings it to; empty where that is not known.
        body: its first 64 KiB, personal data included; so it does not show in a repr.
        size: of the whole body, in bytes.
    """

    position: int
    message_id: str
    queue: str
    reason: str
    attempt: int
    traceback: str
    size: int
    body: bytes = field(repr=False)


def letter_of(name: str, position: int, incoming: AbstractIncomingMessage) -> DeadLetter:
    """Read a message that was taken from the dead queue of `name`."""
    headers = incoming.headers
    attempt = headers.get(ATTEMPT)
    return DeadLetter(
        position=position,
        message_id=incoming.message_id or "",
        queue=_work_queue(name, incoming.routing_key or ""),
        reason=_text(headers.get("x-reason")) or _given_up(headers),
        attempt=attempt if isinstance(attempt, int) else 0,
        traceback=_text(headers.get("x-traceback")),
        size=len(incoming.body),
        body=incoming.body[:MAX_BODY],
    )


def _work_queue(name: str, routing_key: str) -> str:
    if name == UNROUTABLE:
        # Its key is the delay's bits, then the queue it was meant for.
        name = ".".join(routing_key.split(".")[DELAY_LEVELS:])
    return name if name in _WORK else ""


def _given_up(headers: Any) -> str:
    """Why the broker itself gave up a message, if it was the broker."""
    return _text(headers.get("x-first-death-reason"))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def priority_of(body: bytes) -> int:
    """The priority a message of ours was published with: the dead one's own is not kept."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _DEFAULT_PRIORITY
    asked = None
    if isinstance(content, dict):
        asked = content.get("prioridade", content.get("priority"))
    valid = isinstance(asked, int) and 1 <= asked <= MAX_PRIORITY
    return int(asked) if valid and asked is not None else _DEFAULT_PRIORITY
