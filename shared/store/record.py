"""What a step of a lookup writes into Redis, in one stroke: `lua/plan.lua`, `lua/record.lua`.

It goes there as MessagePack, which Redis' Lua reads by itself; that of Redis 7 knows no binary
data, so JSON goes as text.
"""

from typing import Final

import msgspec
from msgspec import Struct


class Step(Struct, kw_only=True):
    """A step and its event, JSON without task_id and seq; "" asks what was written before.

    `counts` for one of the stages the flight waits for. `ends` is the type of an event that ends
    the flight; it is written only if the steps before it in the same record are, since it tells of
    them. `revoked` if its asker ended it. `derived` if it follows from the outcome of the first
    step, and so is written only if that one is.
    """

    name: str
    event: str
    counts: bool = False
    ends: str = ""
    revoked: bool = False
    derived: bool = False


class Kept(Struct, kw_only=True):
    """Entries for the cache, as field, JSON, …; kept for `lifetime` seconds."""

    kind: str
    digest: str
    lifetime: int
    fields: list[str]


class Used(Struct, kw_only=True):
    """The permit a call was made under, whose key and id these are; `margin` in microseconds.

    `unused` if no call was made after all.
    """

    key: str
    id: str
    margin: int = 0
    unused: bool = False


class Place(Struct, kw_only=True):
    """A place in line for an order: keys of the line and of its permits, and the windows of its
    limit as count, microseconds, …
    """

    waiting: str
    permits: str
    step: str
    order: str
    windows: list[int]


class Record(Struct, kw_only=True):
    """Steps of a flight, and what follows from them where all are new.

    `lifetime` is how long (s) an ended flight is kept; `now` milliseconds, 0 for Redis' own clock.
    """

    flight: str
    steps: list[Step]
    lifetime: int
    now: int = 0
    kept: list[Kept] = []
    used: Used | None = None
    following: list[Place] = []
    # Of the analysis, should no stage be left.
    analysis: Place | None = None


class Plan(Struct, kw_only=True):
    """A lookup that is to get its flight; see `lua/plan.lua`. Instants and times are milliseconds.

    `asks` is what is asked about the subject, `flight` what the flight is called if it is a new
    one, `due` the deadline as the message has it (0: it does not), `length` the time from the start
    to the deadline, `slack` the seconds that are kept beyond it. `orders` are the places in line of
    what is ordered at once. `accepted` is what is to be known of a lookup that is accepted by this,
    as field, value, …, and `request` what it asks for, should whoever plans it die before its
    orders are sent, for which it is left `patience` seconds.
    """

    task: str
    flight: str
    origin: str
    tenant: str
    kind: str
    digest: str
    asks: str
    wanted: str
    left: int
    started: str
    priority: int
    due: int
    delay: int
    length: int
    slack: int
    renew: int
    now: int = 0
    orders: list[Place] = []
    accepted: list[str] = []
    request: str = ""
    patience: int = 0


_encoder: Final = msgspec.msgpack.Encoder()


def packed(argument: Record | Plan) -> bytes:
    """For the script."""
    return _encoder.encode(argument)
