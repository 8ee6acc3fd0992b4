"""What an error of aio-pika's means: the broker is away, it refuses for good, or we have a bug."""

import re
import time
import traceback
from collections.abc import Callable
from typing import Final

from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, ProbableAuthenticationError
from aiormq.exceptions import (
    AMQPChannelError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionNotAllowed,
    IncompatibleProtocolError,
    InvalidFrameError,
    ProtocolSyntaxError,
)
from pamqp.commands import Connection

from shared.domain.network import place, why
from shared.errors import BusRefused

# Every way in which aio-pika says that the broker is not there, or will not now. A RuntimeError
# is none of them: the one place where it means so is `_channel` in the link.
AWAY: Final = (AMQPError, OSError, ChannelInvalidStateError, StopAsyncIteration)
# What a connection ends with before it is one.
_AT_THE_DOOR: Final = (
    AuthenticationError,
    ProbableAuthenticationError,
    ConnectionNotAllowed,
    InvalidFrameError,
)
# A limit on connections, or a backend's trouble, begins alike and goes on behind the user.
_NO_ENTRY: Final = re.compile(r"vhost .* not found|access to vhost .* refused for user '[^']*'")
# Seconds for which a process that was let in before is refused until it believes it.
GRACE_S: Final = 60.0


class Door:
    """Whether a refusal to let a process in is for good.

    Who never was let in has a wrong address or password. Who was, mostly meets something that
    passes, such as a broker whose users are kept elsewhere and cannot be asked just now.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._was_open = False
        self._shut_since: float | None = None

    def opened(self) -> None:
        """A connection was made."""
        self._was_open, self._shut_since = True, None

    def is_for_good(self, error: BaseException) -> bool:
        """Of an error that is a refusal, as it comes."""
        if not self._was_open or not isinstance(error, _AT_THE_DOOR):
            return True
        if self._shut_since is None:
            self._shut_since = self._clock()
        return self._clock() - self._shut_since >= GRACE_S


def refusal(error: BaseException, url: str) -> BusRefused | None:
    """What the broker will refuse however often it is asked, with the mend; None for all else.

    Args:
        error: how a connection's set-up failed.
        url: the broker's address; of it only host, port and virtual host are told.
    """
    where = place(url)
    match error:
        case BusRefused():
            return error
        case ProbableAuthenticationError() | AuthenticationError():
            return BusRefused(f"{where} refuses the user or password; correct them")
        case ConnectionNotAllowed() | InvalidFrameError() if _NO_ENTRY.fullmatch(_told(error)):
            return BusRefused(
                f"{where} does not open the virtual host to this user; create it (rabbitmqctl "
                "add_vhost), let the user in (rabbitmqctl set_permissions), or name another one"
            )
        # Another one's exclusive consumer will be gone some day.
        case ChannelAccessRefused() if "in exclusive use" not in str(error):
            return BusRefused(
                f"{where} denies a right: {_told(error)}; grant it (rabbitmqctl set_permissions)"
            )
        case ChannelPreconditionFailed():
            return BusRefused(
                f"{where} has it already, and otherwise: {_told(error)}; delete that one once it "
                "is empty (rabbitmqctl delete_queue), and it is made anew"
            )
    return None


def reason(error: BaseException) -> str:
    """Why there is no connection, or no channel, in a few words."""
    match error:
        case BusRefused():
            return str(error)
        case AMQPChannelError() | ConnectionNotAllowed():
            return _told(error)
        case InvalidFrameError() if _closing(error) is not None:
            return _told(error)
        case ProtocolSyntaxError() | IncompatibleProtocolError():
            return "what answers there is no RabbitMQ"
    return why(error)


def is_missing(error: BaseException) -> bool:
    """Whether the broker has no such queue or exchange."""
    return isinstance(error, ChannelNotFoundEntity)


def is_lost(error: BaseException, channel: AbstractChannel) -> bool:
    """Whether the connection ended. What waits for an answer then gets any exception at all."""
    return isinstance(error, AWAY) or channel.is_closed


def _closing(error: BaseException) -> Connection.Close | None:
    """The frame that came in place of the OpenOk. aiormq names it in its error, and leaves out
    what it says; but where that was raised, it still is.
    """
    for place_, _ in traceback.walk_tb(error.__traceback__):
        for value in place_.f_locals.values():
            if isinstance(value, Connection.Close):
                return value
    return None


def _told(error: BaseException) -> str:
    """What the broker said, without its code in front: `inequivalent arg … for queue …`."""
    closing = _closing(error) if isinstance(error, InvalidFrameError) else None
    text = str(error) if closing is None else closing.reply_text or ""
    return text.partition(" - ")[2] or text
