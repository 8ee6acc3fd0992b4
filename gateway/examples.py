"""The examples of both specifications: one lookup of a CEP, from its request to its result.

They are made of the types they stand for, and tests run every one of them. The people in them do
not exist; the CEP is the cathedral square of São Paulo.
"""

from typing import Any, Final

from msgspec import to_builtins
from msgspec.structs import replace

from gateway.sse import Head, frame
from shared.analysis import Analysis, Told
from shared.circuits import Overview
from shared.domain import answers
from shared.messages import Event, Lookup, Requested, encode
from shared.records import Address

TASK: Final = "5f0c6f0e-3b52-4a4e-9a4c-0d7f7f6f1b11"
_ASKED_AT: Final = "2026-02-25T14:30:45.123456Z"
_FOUND_AT: Final = "2026-02-25T14:30:45.935012Z"
_WHERE: Final = f"/api/consultas/{TASK}/eventos"
_ADDRESS: Final = Address(
    cep="01001000",
    street="Praça da Sé",
    complement="lado ímpar",
    district="Sé",
    city="São Paulo",
    state="SP",
    ibge="3550308",
)


def _told(value: str) -> Told:
    return Told(value=value, source="opencep", stage="endereco", age_s=0)


_ANALYSIS: Final = Analysis(
    profile={"cep": _told("01001000"), "municipio": _told("São Paulo"), "uf": _told("SP")},
    conflicts=[],
    findings=[],
    completeness=1.0,
    missing=[],
    summary="CEP em São Paulo/SP; 1 de 1 etapa respondida, nenhum conflito.",
)
_RESULT: Final = answers.Result(
    kind="cep",
    stages=answers.StageResults(
        endereco=answers.StageResult(
            outcome="ok",
            source="opencep",
            age_s=0,
            fetched=_FOUND_AT,
            duration_ms=812,
            data=_ADDRESS,
        )
    ),
    analysis=_ANALYSIS,
)
_EVENTS: Final = (
    Event(
        type="iniciado", timestamp=_ASKED_AT, data=answers.Started(kind="cep", stages=["endereco"])
    ),
    Event(
        type="endereco",
        timestamp=_FOUND_AT,
        data=_ADDRESS,
        outcome="ok",
        source="opencep",
        duration_ms=812,
        age_s=0,
        fetched=_FOUND_AT,
    ),
    Event(type="analysis", timestamp="2026-02-25T14:30:45.951200Z", data=_ANALYSIS, outcome="ok"),
    Event(type="completo", timestamp="2026-02-25T14:30:45.960114Z", data=_RESULT, outcome="ok"),
)
EVENTS: Final = {
    event.type: replace(event, task_id=TASK, seq=seq) for seq, event in enumerate(_EVENTS, 1)
}
# How a lookup begins whose asker said what it is for.
WITH_PURPOSE: Final = {
    "iniciado_com_finalidade": Event(
        type="iniciado",
        timestamp=_ASKED_AT,
        task_id="e3a1b5d7-2c4f-4a6b-9d8e-0f1a2b3c4d5e",
        seq=1,
        data=answers.Started(
            kind="cpf",
            stages=["telegram"],
            purpose="análise de crédito",
            legal_basis="LGPD, art. 7º, X",
        ),
    )
}
STREAM: Final = "retry: 1500\n\n" + "".join(
    frame(Head(event.type, seq), encode(event)).decode()
    for seq, event in enumerate(EVENTS.values(), 1)
)


class _Lookup(Lookup, kw_only=True, omit_defaults=True):
    """A request without what its sender may leave out."""


class _Requested(Requested, kw_only=True, omit_defaults=True):
    """The same, on the bus."""


# What may be asked for, by what it shows.
LOOKUPS: Final = {
    "cep": _Lookup(identifier="01001-000", kind="cep"),
    "cpf": _Lookup(identifier="111.444.777-35"),
    "cnpj": _Lookup(identifier="11.222.333/0001-81", kind="cnpj", priority=9),
    "telefone": _Lookup(identifier="+55 11 98765-4321", kind="telefone", deadline=30),
    "so_uma_etapa": _Lookup(
        identifier="11144477735",
        stages=["telegram"],
        refresh=True,
        purpose="análise de crédito",
        legal_basis="LGPD, art. 7º, X",
    ),
}
LATER: Final = {"mais_tarde": _Lookup(identifier="01310-100", kind="cep", delay=3600)}
BULK: Final[dict[str, Any]] = {
    "duas_boas_e_uma_nao": [
        {"identificador": "01001-000", "tipo": "cep"},
        {"identificador": "01310-100", "tipo": "cep", "prioridade": 2},
        {"identificador": "123", "tipo": "cep"},
    ]
}
BULK_ITEMS: Final = {
    "duas_boas_e_uma_nao": [
        answers.BulkItem(
            index=0, http=200, task_id=TASK, status="SUCCESS", cached=True, result=_RESULT
        ),
        answers.BulkItem(
            index=1,
            http=202,
            task_id="0a4b7c2e-6f1d-4e0b-8a55-3f2f6f0f9c22",
            status="PENDING",
            events="/api/consultas/0a4b7c2e-6f1d-4e0b-8a55-3f2f6f0f9c22/eventos",
        ),
        answers.BulkItem(
            index=2,
            http=422,
            field_="identificador",
            detail="deve ter os 8 dígitos do CEP, sem máscara ou como 00000-000",
        ),
    ]
}
DONE: Final = answers.Done(task_id=TASK, status="SUCCESS", cached=True, result=_RESULT)
ACCEPTED: Final = answers.Accepted(task_id=TASK, status="PENDING", events=_WHERE)
STATUS: Final = answers.LookupStatus(
    task_id=TASK,
    status="SUCCESS",
    result=_RESULT,
    stages={"endereco": answers.StageStatus(status="SUCCESS", outcome="ok")},
)
REVOKED: Final = answers.Revoked(task_id=TASK, status="REVOKED")

CIRCUIT: Final = Overview(
    state="ABERTO",
    failures=12,
    successes=145,
    cause="forced",
    reopens=None,
    forced=True,
    replicas=2,
)
CIRCUIT_ORDERS: Final = {
    "abrir": answers.CircuitOrder(state="ABERTO"),
    "fechar": answers.CircuitOrder(state="FECHADO"),
    "soltar": answers.CircuitOrder(state="AUTOMATICO"),
}
QUEUES: Final = answers.QueueStatistics(
    active=3,
    scheduled=1,
    reserved=12,
    workers=7,
    services={"gateway": 1, "enricher endereco": 2},
    queues={
        "stage.endereco": answers.QueueState(
            ready=12, dead=0, active=3, waiting=12, age_s=4.2, limit="50/min", permits=0
        )
    },
)
CACHE: Final = answers.CacheStatistics(total_keys=145, hits=900, misses=180, memory_used=2097152)
INVALIDATIONS: Final = {
    "por_padrao": answers.InvalidatePattern(pattern="consulta:v2:cpf:*"),
    "um_identificador": answers.InvalidateSubject(kind="cep", identifier="01001-000"),
}
AGENDA: Final = answers.Agenda(
    jobs=[
        answers.JobState(
            name="limpeza_cache",
            cron="0 */6 * * *",
            last="2026-02-25T12:00:00.004211Z",
            outcome="ok",
            result={"removidas": 31},
            missed=0,
            next="2026-02-25T18:00:00.000000Z",
        )
    ]
)
JOB_ORDERED: Final = answers.JobOrdered(name="verificacao_saude", outcome="pedida")
# What each kind of problem says in one of its cases.
PROBLEMS: Final = {
    400: "o corpo não é JSON válido (UTF-8)",
    401: "envie Authorization: Bearer <chave>",
    403: "esta chave não tem o escopo administrar",
    404: "não há consulta com este task_id",
    408: "o corpo não chegou a tempo; envie-o de uma vez",
    409: "a consulta já terminou",
    413: "envie no máximo 64 KiB",
    415: "envie Content-Type: application/json",
    422: "tem dígitos verificadores que não conferem; revise o CPF",
    429: "limite da chave: 1/min",
    503: "o armazenamento não responde; tente de novo",
}

# On the bus.
REQUESTS: Final = {
    "cep": _Requested(
        task_id="7d2f4c8e-9b1a-4d3e-8f60-1a2b3c4d5e6f",
        origin="billing",
        identifier="01001-000",
        kind="cep",
    ),
    "cpf": _Requested(
        task_id="e3a1b5d7-2c4f-4a6b-9d8e-0f1a2b3c4d5e",
        origin="billing.mensal",
        identifier="111.444.777-35",
        priority=2,
        purpose="renovação de cadastro",
    ),
}
# Its identifier is none, so it ends in the dead queue.
BAD_REQUEST: Final = to_builtins(
    _Requested(
        task_id="c0ffee00-1111-4222-8333-444455556666",
        origin="billing",
        identifier="123",
        kind="cpf",
    )
)
