"""What limits cost that nobody has to wait for: lookups that miss, a second, with and without.

Every queue has a limit of a million a minute. The yardstick are our own services with limits off;
all else is as in `walk`.
"""

from functools import partial

from tests.bench._peers import best, ours
from tests.bench._result import Measured, at_least
from tests.bench._size import TIMES, size
from tests.bench._stand import running
from tests.services import UNLIMITED


def measure() -> Measured:
    """With limits against without."""
    wide = dict.fromkeys(UNLIMITED, "1000000/min")
    with running("simulator") as stand:
        peers = {"off": partial(ours, stand), "on": partial(ours, stand, **wide)}
        found = best(peers, TIMES, size(1200, 128))
    name = "lookups that miss, limits on against off"
    return Measured([at_least(name, found["on"].per_s, found["off"].per_s, 0.8, "/s")])
