"""Messages no consumer can do anything with, by shape."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import msgspec

from shared.topology import ANALYSIS, REQUESTED, STAGE_QUEUES, Queue
from tests.subjects import cpf

ORIGIN: Final = "poison"
_LARGE_ONES: Final = 5


@dataclass(frozen=True)
class Poison:
    """One bad message. `task_id` is set where its asker can be told."""

    shape: str
    queue: Queue
    body: bytes
    task_id: str = ""
    headers: dict[str, Any] = field(default_factory=dict)


def good(task_id: str, number: int) -> dict[str, Any]:
    """A request there is nothing wrong with."""
    return {
        "task_id": task_id,
        "origem": ORIGIN,
        "tipo": "cpf",
        "identificador": cpf(400_000_000 + number),
        "prazo": 300,
    }


def poisons(number: int) -> Iterator[Poison]:
    """This many, of every shape in turn; of the large one a few, since a few are proof enough."""
    for place in range(number):
        shape = SHAPES[place % len(SHAPES)]
        if shape == "5 MB" and place >= _LARGE_ONES * len(SHAPES):
            shape = "not JSON"
        yield _make(shape, place)


def _make(shape: str, place: int) -> Poison:
    task_id = str(uuid4())
    if shape in _CHANGES:
        request = good(task_id, place) | _CHANGES[shape]
        request = {name: value for name, value in request.items() if value is not _GONE}
        told = (
            task_id if request.get("task_id") == task_id and "origem" not in _CHANGES[shape] else ""
        )
        headers = _HEADERS if shape == "bad headers" else {}
        return Poison(shape, REQUESTED, msgspec.json.encode(request), told, headers)
    queue, body = _BODIES[shape]
    return Poison(shape, queue, body(place))


_GONE: Final = object()
# What is wrong with the request.
_CHANGES: Final[dict[str, dict[str, Any]]] = {
    "no task_id": {"task_id": _GONE},
    "task_id is no UUID": {"task_id": "lookup-17"},
    "no origem": {"origem": _GONE},
    "origem is a pattern": {"origem": "billing.#"},
    "no identificador": {"identificador": _GONE},
    "identificador is a number": {"identificador": 11144477735},
    "identificador is wrong": {"identificador": "11144477736"},
    "unknown tipo": {"tipo": "rg"},
    "priority out of range": {"prioridade": 99},
    "prazo is a text": {"prazo": "logo"},
    "a stage its kind has not": {"tipo": "cep", "etapas": ["cadastro"]},
    "unknown version": {"versao": 99},
    "bad headers": {"identificador": None},
    "5 MB": {"identificador": "1" * 5_000_000},
}
# What is no request at all, and what the queues behind the first one get.
_BODIES: Final[dict[str, tuple[Queue, Callable[[int], bytes]]]] = {
    "not JSON": (REQUESTED, lambda place: b"{not JSON %d" % place),
    "empty": (REQUESTED, lambda _: b""),
    "not UTF-8": (REQUESTED, lambda place: b'{"\xff\xfe": %d}' % place),
    "a list": (REQUESTED, lambda place: b"[%d]" % place),
    "nested too deep": (REQUESTED, lambda place: b"[" * (30_000 + place)),
    "stage without a flight": (STAGE_QUEUES["telegram"], lambda place: b'{"order": "%d"}' % place),
    "stage of another type": (STAGE_QUEUES["endereco"], lambda place: b"%d" % place),
    "analysis of nothing": (ANALYSIS, lambda place: b'{"flight": %d}' % place),
    "analysis without a flight": (ANALYSIS, lambda place: b'{"voo": "%d"}' % place),
}
SHAPES: Final = (*_CHANGES, *_BODIES)
_HEADERS: Final[dict[str, Any]] = {
    "x-attempt": "many",
    "traceparent": 17,
    "x-death": "yesterday",
    "x-delivery-count": {"deep": [1, {"deeper": None}]},
}
