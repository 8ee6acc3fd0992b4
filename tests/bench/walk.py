"""Whole lookups that miss, a second: three providers of 20 ms at once, then the analysis.

64 are under way at once, limits are off, each is streamed to its end over `POST
/api/consulta-stream`. The yardsticks do the same work on the same RabbitMQ, Redis and simulated
providers: Celery (eight processes, a chord) and Taskiq (two processes, aio-pika), each written as
its documentation recommends, its client waiting for the result. The skeleton is where the floor is:
as many messages, trips, calls and writes as ours, over the same libraries, with nothing in between.
Of each the best of three.
"""

from functools import partial

from tests.bench._peers import best, celery, ours, skeleton, taskiq
from tests.bench._result import Measured, Table, at_least, beside
from tests.bench._size import TIMES, size
from tests.bench._stand import running


def measure() -> Measured:
    """Ours against both."""
    with running("simulator") as stand:
        peers = {kind.__name__: partial(kind, stand) for kind in (ours, celery, taskiq, skeleton)}
        found = best(peers, TIMES, size(1200, 128))
    return Measured(
        [
            at_least(
                f"lookups that miss, against {name.title()}",
                found["ours"].per_s,
                found[name].per_s,
                goal,
                "/s",
            )
            for name, goal in {"celery": 4.0, "taskiq": 2.5}.items()
        ]
        + [
            beside(
                "lookups that miss, against a skeleton",
                found["ours"].per_s,
                found["skeleton"].per_s,
                "/s",
            )
        ],
        [
            Table(
                "Lookups that miss, 64 at once",
                ("", "a second", "p50 ms", "p99 ms"),
                [
                    (name, f"{timed.per_s:.1f}", f"{timed.p50_ms:.1f}", f"{timed.p99_ms:.1f}")
                    for name, timed in found.items()
                ],
            )
        ],
    )
