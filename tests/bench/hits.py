"""Hits a second: `POST /api/consultas` over 32 connections, one gateway process.

Once for one subject that everybody wants, once for 10,000 that are wanted by a Zipf law. The
yardstick is a handler of aiohttp in one process of its own, on uvloop and with the services'
settings of the garbage collector: it decodes the same body with msgspec, has redis-py ask for one
value, and answers with it, which is as long as our answer. Asked by wrk; the best of three.
"""

from tests.bench._hits import both
from tests.bench._result import Measured, Row, Table, at_least
from tests.bench._size import TIMES, size
from tests.bench._stand import running
from tests.bench._wrk import Answered

CONNECTIONS = 32


def measure() -> Measured:
    """One subject, and many."""
    rows: list[Row] = []
    lines: list[tuple[str, ...]] = []
    with running() as stand, both(stand, size(10_000, 100)) as servers:
        many = f"{len(servers.subjects):,} subjects".replace(",", " ")
        asked = (("one subject", servers.one(), 2.0), (many, servers.zipf(), 1.2))
        for label, bodies, goal in asked:
            found = servers.ask(bodies, CONNECTIONS, size(10, 2), TIMES)
            best = {name: max(some, key=_per_s) for name, some in found.items()}
            ours, handler = best["ours"], best["handler"]
            rows.append(at_least(f"hits, {label}", ours.per_s, handler.per_s, goal, "/s"))
            lines += [
                (f"{name}, {label}", f"{a.per_s:.0f}", f"{a.p50_ms:.2f}", f"{a.p99_ms:.2f}")
                for name, a in best.items()
            ]
    head = ("", "a second", "p50 ms", "p99 ms")
    return Measured(rows, [Table("Hits over 32 connections", head, lines)])


def _per_s(answered: Answered) -> float:
    return answered.per_s
