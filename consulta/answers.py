"""What the gateway answers, as types. The wire's Portuguese names are mapped here."""

from typing import Any, Literal

from msgspec import Struct, field

from shared.messages import Outcome

Status = Literal["PENDING", "STARTED", "SUCCESS", "FAILURE", "REVOKED"]


class Accepted(Struct, kw_only=True):
    """A lookup was accepted; `result` is there at once where the cache had it."""

    task_id: str
    status: Status
    cached: bool = field(name="cache", default=False)
    result: Any = field(name="resultado", default=None)


class StageStatus(Struct, kw_only=True):
    """How far one stage is."""

    status: Status
    outcome: Outcome | None = field(name="situacao", default=None)


class LookupStatus(Struct, kw_only=True):
    """How far a lookup is; `result` once it is there."""

    task_id: str
    status: Status
    result: Any = field(name="resultado", default=None)
    stages: dict[str, StageStatus] = field(name="etapas", default_factory=dict)


class BulkAnswer(Struct, kw_only=True):
    """What became of one lookup of many, as if it had been asked for alone.

    `index` is its place, from 0, and `http` the status: 200 with `result`, 202 with `task_id`, or
    an error with `detail` and perhaps the field at fault.
    """

    index: int = field(name="indice")
    http: int
    task_id: str | None = None
    status: Status | None = None
    cached: bool = field(name="cache", default=False)
    result: Any = field(name="resultado", default=None)
    faulty: str | None = field(name="campo", default=None)
    detail: str | None = None


class Circuit(Struct, kw_only=True):
    """A provider's breaker, over all replicas."""

    state: str = field(name="estado")
    failures: int = field(name="falhas", default=0)
    successes: int = field(name="sucesso", default=0)
    reason: str | None = field(name="motivo", default=None)
    opens_again: str | None = field(name="reabre_em", default=None)


class QueueState(Struct, kw_only=True):
    """One queue. `age_s` is that of its oldest, `permits` what its limit leaves right now."""

    ready: int = field(name="prontas", default=0)
    dead: int = field(name="mortas", default=0)
    active: int = field(name="ativas", default=0)
    waiting: int = field(name="esperando", default=0)
    age_s: float | None = field(name="idade_s", default=None)
    limit: str = field(name="limite", default="off")
    permits: int | None = field(name="permissoes", default=None)


class Queues(Struct, kw_only=True):
    """All the queues, and the work in them."""

    active: int = field(name="tasks_ativas")
    scheduled: int = field(name="tasks_agendadas")
    reserved: int = field(name="tasks_reservadas")
    workers: int
    services: dict[str, int] = field(name="servicos", default_factory=dict)
    queues: dict[str, QueueState] = field(name="filas", default_factory=dict)


class Job(Struct, kw_only=True):
    """A periodic job. Its runs are instants, or None."""

    name: str = field(name="nome")
    schedule: str = field(name="agenda")
    last: str | None = field(name="ultima", default=None)
    result: Any = field(name="resultado", default=None)
    next: str | None = field(name="proxima", default=None)


class Jobs(Struct, kw_only=True):
    """The periodic jobs."""

    jobs: list[Job] = field(name="tarefas")


class CacheStatistics(Struct, kw_only=True):
    """The cache; `memory_used` in bytes."""

    total_keys: int
    hits: int
    misses: int
    memory_used: int


class Removed(Struct, kw_only=True):
    """How many subjects were forgotten."""

    removed: int = field(name="removidas")


class Version(Struct, kw_only=True):
    """The cache's schema version."""

    version: int = field(name="versao")
