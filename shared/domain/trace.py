"""The W3C trace context of what is being handled: whatever is published meanwhile carries it on.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

TRACE: Final = "traceparent"
# Version, trace-id, parent-id, flags: neither id is all zeros, and ff is no version. What a later
# version puts behind them is for whoever knows that version.
_FORM: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_carried: ContextVar[str] = ContextVar(TRACE, default="")


@contextmanager
def carrying(given: object) -> Iterator[None]:
    """Carry a message's or a request's trace in this block. Anybody may send anything as one:
    what has not the form is none.
    """
    known = isinstance(given, str) and _FORM.fullmatch(given)
    token = _carried.set(given if isinstance(given, str) and known else "")
    try:
        yield
    finally:
        _carried.reset(token)


def carried() -> str:
    """The trace of what is being handled, or ""."""
    return _carried.get()
