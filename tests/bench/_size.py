"""How much is measured: all, or, with BENCH_QUICK=1, just enough to see that it works."""

import os
from typing import Final

QUICK: Final = os.environ.get("BENCH_QUICK", "") not in {"", "0"}
# Of each measurement the best, or the median, of so many counts.
TIMES: Final = 1 if QUICK else 3
# As many as `make bench` is about: lookups under way at once.
AT_ONCE: Final = 64
PROVIDER_MS: Final = 20


def size(full: int, quick: int) -> int:
    """The one or the other."""
    return quick if QUICK else full
