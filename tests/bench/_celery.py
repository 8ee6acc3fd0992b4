"""The work of a lookup in Celery: a chord of three tasks with the analysis as its callback.

After its documentation: a chord for "these, then that", Redis for results and the chord's count,
a session for each worker process, results that expire. Nothing else is changed from its defaults,
except that the client may have as many connections to the broker as it has callers.
"""

import os
from typing import Any

import requests
from celery import Celery, chord
from celery.signals import worker_process_init

from tests.bench import _work

app = Celery("bench", broker=os.environ["AMQP_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(broker_pool_limit=int(os.environ["AT_ONCE"]), result_expires=3600)
_http: list[requests.Session] = []


@worker_process_init.connect
def _open(**_: Any) -> None:
    _http.append(requests.Session())


@app.task
def fetch(stage: str, cpf: str) -> dict[str, Any]:
    """Ask the provider of a stage."""
    where, what = _work.url(os.environ["SIMULATOR"], stage), _work.question(stage, cpf)
    answer = _http[0].post(where, json=what, headers=_work.HEADERS, timeout=10)
    answer.raise_for_status()
    return _work.outcome(stage, answer.json())


@app.task
def merge(outcomes: list[dict[str, Any]]) -> Any:
    """Make one result of the stages."""
    return _work.merged(outcomes)


def look_up(cpf: str) -> Any:
    """One lookup, from the call to its result."""
    header = [fetch.s(stage, cpf) for stage in _work.STAGES]
    return chord(header)(merge.s()).get(timeout=60)
