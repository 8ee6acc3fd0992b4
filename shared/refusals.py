"""What an error of aio-pika's means: the broker is away, it refuses for good, or we have a bug."""

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

from shared.domain.network import place, why
from shared.errors import BusRefused

# Every way in which aio-pika says that the broker is not there, or will not now. A RuntimeError
# is none of them: the one place where it means so is `_channel` in the link.
AWAY: Final = (AMQPError, OSError, ChannelInvalidStateError, StopAsyncIteration)


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
        case ConnectionNotAllowed() | InvalidFrameError() if _at_the_door(error):
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
        case AMQPChannelError():
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


def _at_the_door(error: BaseException) -> bool:
    # aiormq names the frame that came instead of the OpenOk, and leaves out what it says.
    return not isinstance(error, InvalidFrameError) or (
        "Connection.OpenOk" in str(error) and "Connection.Close" in str(error)
    )


def _told(error: BaseException) -> str:
    """What the broker said, without its code in front: `inequivalent arg … for queue …`."""
    return str(error).partition(" - ")[2] or str(error)
