"""Every message on the wire, its encoder and its decoders.

Code is English and the wire keeps the product's Portuguese words: this file is where the two
meet (`field(name=…)`), and nowhere else.

Two directions. Work flows on the exchange `lookups`, one type per queue: `Requested` (anybody may
publish it), then `StageRequested`, `AnalysisRequested`; beside them, `JobRequested`.
Facts flow on the exchange `events`, as `Event`.
"""

import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from shared.errors import Undecodable
from shared.identifiers import Kind

Stage = Literal["telegram", "endereco", "telefone", "cadastro"]
Outcome = Literal[
    "ok",
    "nao_encontrado",
    "nao_confirmado",
    "degradado",
    "bloqueado",
    "limitado",
    "indisponivel",
    "nao_configurado",
    "expirado",
    "cancelado",
]
EventType = Literal[
    "iniciado",
    "telegram",
    "endereco",
    "telefone",
    "cadastro",
    "aguardando",
    "analysis",
    "completo",
    "error",
]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
TERMINAL: Final = frozenset({"completo", "error"})
# A lookup is a few hundred bytes; what is larger is a mistake or an attack.
MAX_BODY: Final = 64 * 1024

UUID = Annotated[
    str,
    Meta(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", description="UUID"),
]
Tenant = Annotated[str, Meta(pattern="^[a-z0-9-]{1,40}$")]
# One or more words of a routing key. `*`, `#` and odd characters would make it a pattern.
Origin = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,40}(\.[A-Za-z0-9_-]{1,40}){0,3}$")]


class Lookup(Struct, kw_only=True, forbid_unknown_fields=True):
    """What an asker says: the body of every way to ask for a lookup.

    `delay` seconds pass before it starts, and `deadline` seconds after that it has ended.
    """

    identifier: Annotated[str, Meta(min_length=1, max_length=64)] = field(name="identificador")
    kind: Kind = field(name="tipo", default="cpf")
    priority: Annotated[int, Meta(ge=1, le=10)] = field(name="prioridade", default=5)
    delay: Annotated[float, Meta(ge=0, le=12 * 86400)] = field(name="atraso", default=0)
    deadline: Annotated[float, Meta(ge=1, le=86400)] = field(name="prazo", default=60)
    refresh: bool = field(name="atualizar", default=False)
    stages: Annotated[list[Stage], Meta(min_length=1, max_length=4)] | None = field(
        name="etapas", default=None
    )
    purpose: Annotated[str, Meta(max_length=200)] | None = field(name="finalidade", default=None)
    legal_basis: Annotated[str, Meta(max_length=200)] | None = field(
        name="base_legal", default=None
    )


class Requested(Lookup, kw_only=True, forbid_unknown_fields=False):
    """`lookup.requested`: a lookup, the id its asker gave it, and where its events go.

    `expires` is the instant it has to have ended, whenever it is read; without it the time begins
    when it is first seen. `tenant` stands in what a gateway accepted: whose lookup it is, and that
    its deadline is being watched already.
    """

    task_id: UUID
    origin: Origin = field(name="origem")
    expires: Annotated[datetime, Meta(tz=True)] | None = field(name="expira_em", default=None)
    tenant: Tenant | None = None
    # Of this message. Whoever speaks a later one is told so, and not half understood.
    version: Literal[1] = field(name="versao", default=1)


class StageRequested(Struct, kw_only=True):
    """`stage.<name>`: do one stage of a flight.

    `order` is the identity of this order over all its redeliveries; one that was put off comes back
    as another, whose identity begins with it and a dot. `inputs` are the values the
    stage looks up, of kind `input_kind`: the CEP a company's record told, say. `slip` names the
    stages to order once this one has ended.

    An order that was put off goes on where it was: `attempts` are the providers asked in vain so
    far, `tries` the calls made by provider, `numbers` what was found of earlier inputs.
    """

    flight: str
    order: str
    stage: Stage
    kind: Kind
    value: str
    digest: str
    input_kind: Kind
    inputs: list[str]
    slip: list[Stage] = []
    priority: int = 5
    refresh: bool = False
    purpose: str | None = None
    legal_basis: str | None = None
    attempts: "list[Attempt]" = []
    tries: dict[str, int] = {}
    numbers: list[Any] = []


class AnalysisRequested(Struct, kw_only=True):
    """`analysis.requested`: every stage of the flight has ended, make one result of them."""

    flight: str
    order: str
    priority: int = 5


class JobRequested(Struct, kw_only=True):
    """`job.requested`: run a periodic job now, beside its schedule."""

    name: str


class Attempt(Struct):
    """A provider that was asked in vain, and why: a bounded word."""

    provider: str = field(name="provedor")
    reason: str = field(name="motivo")


class Event(Struct, kw_only=True, omit_defaults=True):
    """One event of a lookup, as the bus and the SSE stream carry it.

    `seq` counts 1..n without a gap within a lookup. In a flight's log, which several askers may
    share, `task_id` and `seq` are unset: they are the reader's and the position's.
    """

    type: EventType = field(name="tipo")
    timestamp: str
    data: Any = field(name="dados", default=None)
    task_id: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    outcome: Outcome | UnsetType = field(name="situacao", default=UNSET)
    source: str | UnsetType = field(name="origem", default=UNSET)
    duration_ms: int | UnsetType = field(name="duracao_ms", default=UNSET)
    age_s: int | UnsetType = field(name="idade_s", default=UNSET)
    # When the provider was asked; of a cached stage, that is earlier than `timestamp`.
    fetched: str | UnsetType = field(name="obtido_em", default=UNSET)
    cached: bool = field(name="cache", default=False)
    attempts: list[Attempt] = field(name="tentativas", default_factory=list)


Message = TypeVar("Message", bound=Struct)

_encoder = msgspec.json.Encoder()
_event_decoder = msgspec.json.Decoder(Event)
_decoders: dict[type[Struct], msgspec.json.Decoder[Any]] = {}
_TASK = re.compile(rb'"task_id"\s*:\s*"([0-9a-fA-F-]{36})"')


def encode(message: Struct) -> bytes:
    """The message as JSON."""
    return _encoder.encode(message)


def decode(body: bytes, into: type[Message]) -> Message:
    """Read a message of a known type.

    Raises:
        Undecodable: not that message; the reason names the field, never its value.
    """
    if len(body) > MAX_BODY:
        task = _TASK.search(body, 0, MAX_BODY)
        reason = f"body of {len(body)} bytes, at most {MAX_BODY} are read"
        raise Undecodable(reason, task.group(1).decode() if task else None)
    decoder = _decoders.get(into)
    if decoder is None:
        decoder = _decoders[into] = msgspec.json.Decoder(into)
    try:
        message: Message = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        task = _TASK.search(body)
        raise Undecodable(describe(error), task.group(1).decode() if task else None) from None
    return message


def decode_event(body: bytes) -> Event:
    """Read an event, from the bus, a stream or a log."""
    return _event_decoder.decode(body)


def describe(error: Exception) -> str:
    """A decoding error without the value that caused it: msgspec repeats unknown enum values."""
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "…", str(error)) if "Invalid enum" in str(error) else ""
    return text or str(error)


def addressed(logged: bytes, task_id: str, seq: int) -> bytes:
    """A logged event as one asker gets it: the same JSON with `task_id` and `seq` put in front."""
    return b'{"task_id":"%b","seq":%d,%b' % (task_id.encode(), seq, logged[1:])


def instant(seconds: float) -> str:
    """Unix seconds as the wire writes an instant: UTC, microseconds, `Z`."""
    # A third of what `strftime` takes.
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def now() -> str:
    """This instant, as the wire writes it."""
    return instant(time.time())


def unix(instant: str) -> float:
    """Unix seconds of an instant on the wire."""
    return datetime.fromisoformat(instant).timestamp()
