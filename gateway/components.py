"""The schemas of both specifications, from the types: JSON Schema with Portuguese descriptions."""

import re
from collections.abc import Iterable
from typing import Any, Final

from msgspec import json

from gateway.glossary import FIELDS, TYPES
from shared.analysis import Analysis
from shared.domain.answers import Failure, Result, Started, Waiting
from shared.messages import Event, EventType
from shared.records import RECORDS

# Raised when the contract changes: the minor number for additions.
VERSION: Final = "1.0.0"
_REF: Final = "#/components/schemas/{name}"

# The `dados` of each event. Those of a stage without an answer are left out.
DATA: Final[dict[EventType, Any]] = {
    "iniciado": Started,
    **{stage: record | None for stage, record in RECORDS.items()},
    "aguardando": Waiting,
    "analysis": Analysis | None,
    "completo": Result,
    "error": Failure,
}


class Components:
    """The schemas of these types, and of all they refer to."""

    def __init__(self, types: Iterable[Any]) -> None:
        wanted = list(types)
        if Event in wanted:
            wanted += DATA.values()
        schemas, found = json.schema_components(wanted, ref_template=_REF)
        self._of: dict[Any, dict[str, Any]] = {
            type_: _plain(of) for type_, of in zip(wanted, schemas, strict=True)
        }
        self.schemas = {_name(name): _told(_name(name), schema) for name, schema in found.items()}
        if Event in wanted:
            self.schemas["Event"]["oneOf"] = [self._event(tipo) for tipo in DATA]

    def of(self, type_: Any) -> dict[str, Any]:
        """The schema of a type, by reference where it has a name."""
        return self._of[type_]

    def _event(self, tipo: EventType) -> dict[str, Any]:
        data = self.of(DATA[tipo])
        branch = {"properties": {"tipo": {"const": tipo}, "dados": data}}
        optional = {"type": "null"} in data.get("anyOf", ())
        return branch if optional else {**branch, "required": ["dados"]}


def _told(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with our words instead of the docstring's."""
    schema = {**_plain(schema), "title": name, "description": TYPES.get(name, "")}
    for field, of in schema.get("properties", {}).items():
        of["description"] = FIELDS.get(f"{name}.{field}") or FIELDS.get(field, "")
    return schema


def _plain(schema: Any) -> Any:
    """The schema with our names of generic types."""
    match schema:
        case {"$ref": str(to)}:
            return {"$ref": f"#/components/schemas/{_name(to.rpartition('/')[2])}"}
        case dict():
            return {key: _plain(value) for key, value in schema.items()}
        case list():
            return [_plain(value) for value in schema]
    return schema


def _name(name: str) -> str:
    """`StageResultPerson` for `StageResult_Person_`."""
    return re.sub(r"_(\w+)_$", r"\1", name)
