"""Rate limits that hold over all replicas, in every window there is.

The limiter is a log of permits in Redis, on Redis' clock: exact, unlike a token bucket, which
admits about twice its burst in the first window of a provider that counts per window.

Why it holds at the provider. A permit is granted at g; its call arrives there at some a >= g that
nobody here can see; once the answer is in, the permit is settled at s >= a. Until it is settled it
counts in every window, afterwards in those that contain s. Suppose a window (x, x + W] held N + 1
arrivals, and let g be the last grant among them. At that moment the N others had been granted,
and each of them counted: those not settled always do, and those settled at s >= a > x >= g - W.
So the limiter saw N permits and would not have granted one more. The price is that a permit is
out of use for W plus the time of its call.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.store import Store, translated

_SECONDS: Final = {
    "s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
    "d": 86400, "day": 86400,
}  # fmt: skip
_WINDOW: Final = re.compile(r"(\d{1,9})/(\d{0,5})([a-z]+)")
# Longer than any call may take: a permit whose process died comes back after this and its window.
LEASE: Final = 40.0


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
        return f"consulta:permits:{self.name}"

    @property
    def arguments(self) -> list[int]:
        """The windows as the scripts take them: count, microseconds, …"""
        return [n for count, seconds in self.windows for n in (count, round(seconds * 1e6))]


def _unit(seconds: float) -> str:
    names = {1: "s", 60: "min", 3600: "hour", 86400: "day"}
    return names.get(round(seconds)) or f"{round(seconds)}s"


@dataclass
class Permit:
    """Leave for one call. Whoever makes the call says so, before it does."""

    limit: Limit
    id: str
    used: bool = False


class Limiter:
    """Hands out permits.

    Args:
        clock: microseconds of Unix time, for tests; without it Redis' own clock counts.
    """

    def __init__(self, store: Store, clock: Callable[[], int] = lambda: 0) -> None:
        self._store = store
        self._clock = clock

    async def acquire(self, limit: Limit, permit: str, *, lease: float = LEASE) -> float:
        """Take a permit: 0 if granted, else the time (Unix seconds) to ask again.

        Asking again with the same id is safe, so an answer that got lost costs nothing.

        Args:
            lease: seconds after which a permit nobody settled counts as settled; 0 for what is
                over and done with once it is granted.

        Raises:
            StoreUnavailable: nobody knows, so nobody may: the limit fails closed.
        """
        if not limit:
            return 0.0
        micros = round(lease * 1e6)
        answer = await self._store.run(
            "acquire", [limit.key], self._clock(), permit, micros, *limit.arguments
        )
        return int(answer) / 1e6

    @translated
    async def settle(self, permit: Permit) -> None:
        """The call is over, or was never made: then the permit is free for somebody else."""
        if not permit.limit:
            return
        if permit.used:
            await self._store.run("settle", [permit.limit.key], self._clock(), permit.id)
        else:
            await self._store.redis.zrem(permit.limit.key, permit.id)

    async def expect(
        self, limit: Limit, keys: tuple[str, str], flight: str, step: str, order: bytes
    ) -> float:
        """Stand in line: 0 if the turn is at once, else when (Unix seconds).

        Args:
            keys: of the line, and of the flight, where the order is kept for as long as it waits.
        """
        waiting, about = keys
        answer = await self._store.run(
            "expect",
            [waiting, limit.key, about],
            self._clock(),
            flight,
            step,
            order,
            *limit.arguments,
        )
        return int(answer) / 1e6
