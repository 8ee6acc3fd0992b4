"""The bodies of the API beside the messages: what the routes answer, and some of what they take.

One set of types: the gateway answers with them and describes itself by them, the client and the
command line read them. English here, the product's Portuguese on the wire; what the fields mean to
a caller is told in the gateway's glossary.
"""

from typing import Any, Generic, Literal, TypeVar

from msgspec import UNSET, Struct, UnsetType, field

from shared.analysis import Analysis
from shared.identifiers import Kind
from shared.messages import Outcome, Stage
from shared.records import Address, Person, Phones, Registration

Data = TypeVar("Data")
# In which state a lookup or a stage is.
Status = Literal["PENDING", "STARTED", "SUCCESS", "FAILURE", "REVOKED"]
# What an `error` says happened, in a word for programs.
ErrorCode = Literal[
    "cancelado", "erro_interno", "estado_perdido", "pedido_invalido", "prazo_esgotado"
]
# What an operator may have of a circuit.
CircuitHold = Literal["ABERTO", "FECHADO", "AUTOMATICO"]
# How a periodic job's last run went.
JobOutcome = Literal["nunca", "em_curso", "ok", "erro", "interrompida"]


class ProblemDetails(Struct, kw_only=True, omit_defaults=True):
    """An error (RFC 9457). `field_` is the field to mend, empty where it is none."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    field_: str = field(name="campo", default="")


class StageResult(Struct, Generic[Data], kw_only=True):
    """What a stage found; what is not known is unset.

    `duration_ms` is what it took, `age_s` the data's age in seconds, `fetched` the instant the
    provider was asked.
    """

    outcome: Outcome | UnsetType = field(name="situacao", default=UNSET)
    source: str | UnsetType = field(name="origem", default=UNSET)
    age_s: int | UnsetType = field(name="idade_s", default=UNSET)
    fetched: str | UnsetType = field(name="obtido_em", default=UNSET)
    duration_ms: int | UnsetType = field(name="duracao_ms", default=UNSET)
    data: Data | None = field(name="dados")


class StageResults(Struct, kw_only=True):
    """The stages that were asked for."""

    telegram: StageResult[Person] | UnsetType = UNSET
    endereco: StageResult[Address] | UnsetType = UNSET
    telefone: StageResult[Phones] | UnsetType = UNSET
    cadastro: StageResult[Registration] | UnsetType = UNSET


class Result(Struct, kw_only=True):
    """The `dados` of `completo`."""

    kind: Kind = field(name="tipo")
    stages: StageResults = field(name="etapas")
    analysis: Analysis | None = field(name="analise")


class Started(Struct, kw_only=True):
    """The `dados` of `iniciado`."""

    kind: Kind = field(name="tipo")
    stages: list[Stage] = field(name="etapas")
    purpose: str | UnsetType = field(name="finalidade", default=UNSET)
    legal_basis: str | UnsetType = field(name="base_legal", default=UNSET)


class Waiting(Struct, kw_only=True):
    """The `dados` of `aguardando`."""

    stage: Stage | Literal["analysis"] = field(name="etapa")
    retry_at: str


class Failure(Struct, kw_only=True):
    """The `dados` of `error`."""

    code: ErrorCode = field(name="codigo")
    message: str = field(name="mensagem")


class Accepted(Struct, kw_only=True):
    """A lookup under way; `events` is the path of its stream."""

    task_id: str
    status: Status
    events: str = field(name="eventos")


class Done(Struct, kw_only=True):
    """A lookup that is answered already."""

    task_id: str
    cached: bool = field(name="cache")
    status: Literal["SUCCESS"]
    result: Result = field(name="resultado")


class BulkItem(Struct, kw_only=True, omit_defaults=True):
    """What `Accepted`, `Done` or a problem would say of a lookup that had been asked for alone.

    `index` is its place, from 0, and `http` the status: 200 with `result`, 202 with `events`, or
    an error with `detail` and perhaps the field at fault.
    """

    index: int = field(name="indice")
    http: int
    task_id: str | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    events: str | UnsetType = field(name="eventos", default=UNSET)
    cached: bool | UnsetType = field(name="cache", default=UNSET)
    result: Result | UnsetType = field(name="resultado", default=UNSET)
    field_: str | UnsetType = field(name="campo", default=UNSET)
    detail: str | UnsetType = UNSET


class StageStatus(Struct, kw_only=True):
    """How far a stage is; `outcome` once it has ended."""

    status: Status
    outcome: Outcome | UnsetType = field(name="situacao", default=UNSET)


class LookupStatus(Struct, kw_only=True):
    """How far a lookup is; `result` once there is one."""

    task_id: str
    status: Status
    result: Result | None = field(name="resultado")
    stages: dict[str, StageStatus] = field(name="etapas")


class Revoked(Struct, kw_only=True):
    """A lookup was cancelled."""

    task_id: str
    status: Literal["REVOKED"]


class Snapshot(Struct, kw_only=True):
    """How a lookup stands: `events` is the number of its events so far."""

    status: Status
    events: int = field(name="eventos")


class Reset(Struct, kw_only=True):
    """The data of the SSE event `reset`, which no lookup has and so has no `id`."""

    data: Snapshot = field(name="dados")


class CircuitOrder(Struct, kw_only=True):
    """Hold a circuit, or leave it to itself again."""

    state: CircuitHold = field(name="estado")


class QueueState(Struct, kw_only=True):
    """One queue. `age_s` is its oldest's in seconds, `permits` what its limit leaves right now."""

    ready: int = field(name="prontas")
    dead: int = field(name="mortas")
    active: int = field(name="ativas")
    waiting: int = field(name="esperando")
    age_s: float | None = field(name="idade_s")
    limit: str = field(name="limite")
    permits: int | None = field(name="permissoes")


class QueueStatistics(Struct, kw_only=True):
    """All queues, and the work in them; `services` counts the living processes."""

    active: int = field(name="tasks_ativas")
    scheduled: int = field(name="tasks_agendadas")
    reserved: int = field(name="tasks_reservadas")
    workers: int
    services: dict[str, int] = field(name="servicos")
    queues: dict[str, QueueState] = field(name="filas")


class CacheStatistics(Struct, kw_only=True):
    """The cache; `memory_used` in bytes."""

    total_keys: int
    hits: int
    misses: int
    memory_used: int


class InvalidatePattern(Struct, kw_only=True):
    """Forget whatever has such a key."""

    pattern: str = field(name="padrao")


class InvalidateSubject(Struct, kw_only=True):
    """Forget one subject."""

    kind: str = field(name="tipo")
    identifier: str = field(name="identificador")


class Removed(Struct, kw_only=True):
    """How many keys were forgotten."""

    removed: int = field(name="removidas")


class SchemaVersion(Struct, kw_only=True):
    """The cache's schema version."""

    version: int = field(name="versao")


class JobState(Struct, kw_only=True):
    """A periodic job. `cron` is in UTC, `last` and `next` are instants.

    `missed` counts the slots that passed while no process ran.
    """

    name: str = field(name="nome")
    cron: str = field(name="agenda")
    last: str | None = field(name="ultima")
    outcome: JobOutcome = field(name="situacao")
    result: Any = field(name="resultado")
    missed: int = field(name="perdidas")
    next: str = field(name="proxima")


class Agenda(Struct, kw_only=True):
    """The periodic jobs."""

    jobs: list[JobState] = field(name="tarefas")


class JobOrdered(Struct, kw_only=True):
    """A job is to run now."""

    name: str = field(name="nome")
    outcome: Literal["pedida"] = field(name="situacao")
