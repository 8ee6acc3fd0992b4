"""Rate limits that hold over all replicas, in every window there is.

The limiter is a log of permits in Redis, on Redis' clock: exact, unlike a token bucket, which
admits about twice its burst in the first window of a provider that counts per window.

Why it holds at the provider. A permit is granted at g, and its call arrives there at some a that
nobody here can see, but for g <= a <= g + lease: a permit too old for its call to arrive within the
lease is given back and taken anew (`lasts`, `renew`). It stands in the log at g + lease, and once
the answer is in, at the moment of its settlement, s >= a. A call that was given up without an
answer (it took too long, another was faster, nobody waits any more, its connection broke) may still
be on its way when it is settled. Its connection is reset, so this machine sends nothing of it again
(`enricher.http`); what the network has by then is assumed to arrive within UNANSWERED or never, and
within the lease: so it is settled as of the earlier of the two, and again s >= a. At a time t it
counts if it stands after t - W, for a window of length W. Suppose a window (x, x + W] held N + 1
arrivals, and let g be the last grant among them, so that x >= g - W. At that moment the N others
had been granted, and each of them counted: those not settled stand at their lease's end >= a > x >=
g - W, those settled at s >= a > x >= g - W. So the limiter saw N permits and would not have granted
one more. A permit that is settled after it was trimmed from the log need not come back to it:
nothing is trimmed before its lease has been over for W, and so has its arrival. The price is that a
permit is out of use for W plus the time of its call.

Where Redis forgets the permits (a FLUSHALL, a failover to an empty one), every window counts as
full for a while. Whoever was granted one before the birth b of the Redis there is now arrives at
b + lease at the latest; so from b + lease + W on no window that a new permit falls into holds such
an arrival. Of W an hour at most: a daily quota is not to close a provider for a day, and may be
exceeded by what had been used of it. A process knows by the birth that it saw before. Where all
processes are as new as Redis nobody knows, and nothing pauses.

    consulta:permits          hash: born, the moment (us) this hash was made; lost, the moment by
                              which the last of the permits that were forgotten has arrived
    consulta:permits:{name}   zset: the permits of a limit by where they stand (us)

How old a permit is, its holder reads from a monotonic clock of its own, since before it asked. No
two machines need agree on the time.
"""

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from shared.errors import StoreUnavailable
from shared.store import Store
from shared.store.record import Used

log = logging.getLogger(__name__)

_SECONDS: Final = {
    "s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
    "d": 86400, "day": 86400,
}  # fmt: skip
_WINDOW: Final = re.compile(r"(\d{1,9})/(\d{0,5})([a-z]+)")
# Longer than any call may take: a permit whose process died comes back after this and its window.
LEASE: Final = 40.0
# What may pass between looking at a permit's age and the call: a word with Redis, and the network.
SLACK: Final = 10.0
# For how long what the network has of a call that was given up may still be on its way.
UNANSWERED: Final = 2.0
# As the scripts have it: the most of a window that is waited for after a loss.
HOUR: Final = 3600.0
LOOK_S: Final = 5.0
BIRTH: Final = "consulta:permits"


@dataclass(frozen=True)
class Limit:
    """At most `count` calls in any `seconds`, for each of the windows; none means unlimited."""

    name: str
    windows: tuple[tuple[int, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.windows)

    @classmethod
    def parse(cls, name: str, text: str) -> "Limit":
        """Read `50/min`, `3/min,500/day`, `20/2s` or `off`.

        Raises:
            ValueError: something else; the message shows the form.
        """
        if text.strip() == "off":
            return cls(name)
        windows = []
        for part in text.split(","):
            match = _WINDOW.fullmatch(part.strip())
            unit = _SECONDS.get(match.group(3)) if match else None
            if match is None or unit is None or int(match.group(1)) < 1 or match.group(2) == "0":
                raise ValueError("write it like 50/min, 3/min,500/day, 20/2s, or off")
            windows.append((int(match.group(1)), float(unit * int(match.group(2) or 1))))
        return cls(name, tuple(windows))

    def __str__(self) -> str:
        """As `parse` reads it."""
        return ",".join(f"{count}/{_unit(seconds)}" for count, seconds in self.windows) or "off"

    @property
    def key(self) -> str:
        return f"{BIRTH}:{self.name}"

    @property
    def arguments(self) -> list[int]:
        """The windows as the scripts take them: count, microseconds, …"""
        return [n for count, seconds in self.windows for n in (count, round(seconds * 1e6))]


def _unit(seconds: float) -> str:
    names = {1: "s", 60: "min", 3600: "hour", 86400: "day"}
    return names.get(round(seconds)) or f"{round(seconds)}s"


@dataclass
class Permit:
    """Leave for one call. Whoever makes the call says so, before it does.

    `until` is when its lease ends, in its limiter's monotonic seconds; while it is not held, never.
    """

    limit: Limit
    id: str = field(default_factory=lambda: uuid4().hex)
    used: bool = False
    until: float = -math.inf
    # Seconds from its settlement until its call has arrived for certain, or never will.
    margin: float = 0.0
    # By whoever wrote down what came of the call.
    settled: bool = False

    def use(self) -> None:
        """The call is made now."""
        self.used, self.margin = True, UNANSWERED

    def answered(self) -> None:
        """The call was answered, so it has arrived."""
        self.margin = 0.0

    @property
    def spent(self) -> Used | None:
        """Its settlement, for the script that writes down what came of the call; None without a
        limit. Once that has run it is `settled`.
        """
        if not self.limit:
            return None
        margin = round(self.margin * 1e6)
        return Used(key=self.limit.key, id=self.id, margin=margin, unused=not self.used)


class Limiter:
    """Hands out permits.

    Args:
        clock: microseconds of Unix time, for tests; without it Redis' own clock counts.
        monotonic: seconds, for the age of permits.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int] = lambda: 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock, self._monotonic = clock, monotonic
        # Of Redis (us), as it was seen last.
        self._born = 0

    async def watch(self) -> None:
        """Look again and again, until cancelled, so that an idle replica notices a loss, too."""
        while True:
            with suppress(StoreUnavailable):
                await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """See whether Redis has forgotten the permits in use since it was seen last.

        Raises:
            StoreUnavailable: nobody knows.
        """
        await self._ask(Permit(Limit("")), LEASE, 0.0)

    async def acquire(self, permit: Permit, *, lease: float = LEASE, again: float = 0.0) -> float:
        """Take a permit: 0 if granted, else the seconds after which to ask again.

        Asking again for the same one is safe, so an answer that got lost costs nothing.

        Args:
            lease: seconds after which a permit nobody settled counts as settled; 0 for what is
                over and done with once it is granted.
            again: seconds after which to ask again where a permit may come free sooner, since one
                is out that may come back unused; 0 for whoever has better to do than to hope.

        Raises:
            StoreUnavailable: nobody knows, so nobody may: the limit fails closed.
        """
        if not permit.limit:
            return 0.0
        asked = self._monotonic()
        wait, left = await self._ask(permit, lease, again)
        if not wait:
            permit.until = asked + left / 1e6
        return wait / 1e6

    async def _ask(self, permit: Permit, lease: float, again: float) -> tuple[int, int]:
        wait, left, born = await self._store.run(
            "acquire",
            [permit.limit.key, BIRTH],
            self._clock(),
            permit.id,
            round(lease * 1e6),
            round(again * 1e6),
            self._born,
            *permit.limit.arguments,
        )
        if lease:
            if self._born not in {0, born}:
                log.warning("Redis has forgotten the permits in use: limits pause")
            self._born = born
        return wait, left

    def lasts(self, permit: Permit, seconds: float) -> bool:
        """Whether a call made now, which takes so long at most, arrives within the lease."""
        return not permit.limit or self._monotonic() + seconds + SLACK <= permit.until

    async def renew(self, permit: Permit, seconds: float) -> float:
        """Have a permit last for a call of so many seconds: 0 if it does, else as `acquire`.

        One that was never taken, or is too old, is given back and taken anew, in place.

        Raises:
            StoreUnavailable: as `acquire`.
        """
        if self.lasts(permit, seconds):
            return 0.0
        if permit.until > -math.inf:
            await self.settle(permit)
            permit.id = uuid4().hex
        return await self.acquire(permit)

    async def settle(self, permit: Permit) -> None:
        """The call is over, or was never made: then the permit is free for somebody else."""
        if not permit.limit or permit.settled:
            return
        if permit.used:
            margin = round(permit.margin * 1e6)
            await self._store.run("settle", [permit.limit.key], self._clock(), permit.id, margin)
        else:
            await self._store.do("ZREM", permit.limit.key, permit.id)
            permit.until = -math.inf

    async def expect(
        self, limit: Limit, keys: tuple[str, str], flight: str, step: str, order: bytes
    ) -> float:
        """Stand in line: 0 if the turn is at once, else the seconds until it comes.

        Args:
            keys: of the line, and of the flight, where the order is kept for as long as it waits.
        """
        waiting, about = keys
        wait = await self._store.run(
            "expect",
            [waiting, limit.key, about, BIRTH],
            self._clock(),
            flight,
            step,
            order,
            *limit.arguments,
        )
        return int(wait) / 1e6
