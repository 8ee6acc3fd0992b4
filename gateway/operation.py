"""What a route is: who may call it, what it takes and answers.

The one source of the authorisation and of the specification; a route without it answers nobody.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiohttp import web

from shared.keys import Scope

Handler = TypeVar("Handler", bound=Callable[..., Any])

_MARK: Final = "consulta_operation"


@dataclass(frozen=True)
class Operation:
    """A route's contract. `answers` maps a status to the type of its body, None for no body."""

    scope: Scope
    body: Any = None
    answers: Mapping[int, Any] = field(default_factory=dict)


def operation(
    scope: Scope, *, body: Any = None, answers: Mapping[int, Any] | None = None
) -> Callable[[Handler], Handler]:
    """Declare a route's contract on its handler."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, _MARK, Operation(scope, body, answers or {}))
        return handler

    return mark


def operation_of(handler: object) -> Operation | None:
    """The contract of a handler, if it has one."""
    found = getattr(handler, _MARK, None)
    return found if isinstance(found, Operation) else None


def requested(request: web.Request) -> Operation | None:
    """The contract of the route a request goes to."""
    return operation_of(request.match_info.handler)
