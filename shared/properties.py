"""Read what other publishers put into a message's properties.

RabbitMQ passes properties on without looking at most of them, and pamqp raises where one cannot be
represented: a date past the year 9999, such as a count of microseconds makes, or a text that is
not UTF-8. aiormq then gives up the connection, the broker delivers the message again to the next
one, and a single message keeps a queue from ever being served. So what cannot be read is left out.

pamqp has one way of reading for a whole process. So this is for processes of ours, at their start,
and never for whoever imports the clients.
"""

import struct
from datetime import UTC, datetime
from typing import Any

from pamqp import decode


def install() -> None:
    """Have pamqp read leniently in this process. Doing it again changes nothing."""
    decode.METHODS["shortstr"] = _short_text
    decode.METHODS["timestamp"] = decode.TABLE_MAPPING[b"T"] = _date
    decode.METHODS["table"] = decode.TABLE_MAPPING[b"F"] = _table


def _short_text(value: bytes) -> tuple[int, str]:
    end = value[0] + 1
    return end, value[1:end].decode(errors="replace")


def _date(value: bytes) -> tuple[int, datetime]:
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, datetime.fromtimestamp(0, UTC)


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    try:
        return decode.field_table(value)
    except (ValueError, ArithmeticError, RecursionError):
        # Names that are no text, types nobody knows: without headers it is a message all the same.
        return struct.unpack_from("!L", value)[0] + 4, {}
