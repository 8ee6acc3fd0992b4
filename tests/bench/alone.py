"""How long one hit takes: `POST /api/consultas` over one connection, one request after the other.

Against the same handler as in `hits`, and by wrk as well; of three rounds the median.
"""

import statistics

from tests.bench._hits import both
from tests.bench._result import Measured, Table, at_most
from tests.bench._size import TIMES, size
from tests.bench._stand import running


def measure() -> Measured:
    """Medians of both."""
    with running() as stand, both(stand, 1) as servers:
        found = servers.ask(servers.one(), 1, size(5, 2), TIMES)
    p50 = {name: statistics.median(a.p50_ms for a in some) for name, some in found.items()}
    p99 = {name: statistics.median(a.p99_ms for a in some) for name, some in found.items()}
    lines = [(name, f"{p50[name]:.3f}", f"{p99[name]:.3f}") for name in found]
    return Measured(
        [at_most("a hit alone, median", p50["ours"], p50["handler"], 1.2, "ms")],
        [Table("A hit alone", ("", "p50 ms", "p99 ms"), lines)],
    )
