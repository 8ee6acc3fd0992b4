"""What a route is: who may call it, what it takes and answers.

The one source of the authorisation and of the specification; a route without it answers nobody.
Its texts are read by the users of the API, so they are Portuguese.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeVar

from aiohttp import web
from msgspec import Meta

from shared.keys import Scope

Handler = TypeVar("Handler", bound=Callable[..., Any])

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
SSE: Final = "text/event-stream"
_MARK: Final = "consulta_operation"


@dataclass(frozen=True)
class Parameter:
    """A value of the path, the query or a header. Those of the path are required."""

    name: str
    where: Literal["path", "query", "header"]
    about: str
    example: str
    type: Any = str


@dataclass(frozen=True)
class Answer:
    """A body, None for none, and what it means. `headers` maps those worth naming to their use.

    Examples go by the name of the request's example they answer, or by any where it has none.
    """

    body: Any
    about: str
    media: tuple[str, ...] = (JSON,)
    headers: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """A route's contract.

    `body` is a type, or a tuple of them where there is a choice, in any of the forms `media`.
    `problems` are the statuses beside those that every route of its kind has. `ticket` lets those
    in who have a ticket for the lookup of the path.
    """

    scope: Scope
    summary: str = ""
    body: Any = None
    media: tuple[str, ...] = (JSON,)
    examples: Mapping[str, Any] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    answers: Mapping[int, Answer] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    ticket: bool = False


def operation(scope: Scope, summary: str = "", **contract: Any) -> Callable[[Handler], Handler]:
    """Declare a route's contract on its handler; the arguments are those of `Operation`."""
    declared = Operation(scope, summary, **contract)

    def mark(handler: Handler) -> Handler:
        setattr(handler, _MARK, declared)
        return handler

    return mark


def operation_of(handler: object) -> Operation | None:
    """The contract of a handler, if it has one."""
    found = getattr(handler, _MARK, None)
    return found if isinstance(found, Operation) else None


def requested(request: web.Request) -> Operation | None:
    """The contract of the route a request goes to."""
    return operation_of(request.match_info.handler)


TASK_ID: Final = Parameter(
    "task_id",
    "path",
    "A consulta, pelo `task_id` que a resposta ao pedido traz.",
    "5f0c6f0e-3b52-4a4e-9a4c-0d7f7f6f1b11",
)
IDEMPOTENCY_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    "Repita o pedido com a mesma chave, por até 24 h, em qualquer gateway: será uma só consulta. "
    "A mesma chave com outro pedido é recusada (422).",
    "pedido-2026-02-25-0001",
    Annotated[str, Meta(max_length=255)],
)
LAST_EVENT_ID: Final = Parameter(
    "Last-Event-ID",
    "header",
    "O `id` do último evento visto; o fluxo continua depois dele.",
    "2",
)
LAST_EVENT_ID_QUERY: Final = Parameter(
    "last_event_id",
    "query",
    "O mesmo que o cabeçalho `Last-Event-ID`, para quem não define cabeçalhos.",
    "2",
)
