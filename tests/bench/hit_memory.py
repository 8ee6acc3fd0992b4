"""What a million hits on 1,000 subjects leave behind in Redis.

The growth of its `used_memory`, after a warm-up, while wrk asks over 32 connections. Where that
takes longer than eight minutes, or leaves half a gigabyte long before, fewer are asked for, and
their growth is scaled up to a million: more than those would leave, should any of it expire.
"""

import time

from tests.bench._hits import both
from tests.bench._result import Measured, shown, within
from tests.bench._size import size
from tests.bench._stand import Stand, running
from tests.bench._wrk import post

HITS = size(1_000_000, 5_000)
CONNECTIONS = 32
LONGEST_S = 480
# A hundred times the goal.
MOST_MB = 500.0


def measure() -> Measured:
    """Megabytes."""
    with running() as stand, both(stand, size(1000, 50)) as servers:
        url, bodies = servers.urls["ours"], servers.zipf()
        warm = post(url, bodies, CONNECTIONS, size(10, 2))
        before = _settled(stand)
        asked, grown = 0, 0.0
        end = time.monotonic() + LONGEST_S
        while asked < HITS and grown < MOST_MB and time.monotonic() < end:
            seconds = min(60, max(1, round((HITS - asked) / warm.per_s)))
            asked += post(url, bodies, CONNECTIONS, seconds).requests
            grown = (_settled(stand) - before) / 1e6
    scaled = grown * HITS / asked
    many = f"{HITS:,}".replace(",", " ")
    note = f"measured over {asked} hits: {shown(grown, 'MB')}"
    return Measured([within(f"growth of Redis by {many} hits", scaled, 5, "MB", note)])


def _settled(stand: Stand) -> int:
    """Redis' memory once the connections of those who asked are gone."""
    time.sleep(2)
    return stand.redis_bytes()
