"""Both specifications as their readers get them, and validators of what they describe."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from aiohttp import web
from jsonschema import Draft202012Validator
from msgspec import json

from gateway import asyncapi, openapi
from gateway.app import build
from gateway.operation import JSON, NDJSON
from gateway.settings import Settings
from shared.settings import load

PROBLEM: Final = "application/problem+json"


def application() -> web.Application:
    """A gateway that is not started."""
    return build(load(Settings, {}), None)


@cache
def openapi_document() -> dict[str, Any]:
    document: dict[str, Any] = as_sent(openapi.document(application()))
    return document


@cache
def asyncapi_document() -> dict[str, Any]:
    document: dict[str, Any] = as_sent(asyncapi.document())
    return document


def as_sent(document: Any) -> Any:
    return json.decode(json.encode(document))


class Validator:
    """Checks values against schemas of a document.

    Args:
        strict: what a schema does not name is refused, so that nothing goes undocumented.
    """

    def __init__(self, document: dict[str, Any], *, strict: bool = False) -> None:
        schemas: dict[str, Any] = as_sent(document["components"]["schemas"])
        for schema in schemas.values() if strict else ():
            schema.setdefault("additionalProperties", False)
        self._components = {"schemas": schemas}

    def check(self, value: Any, schema: Any) -> None:
        """Fail unless the value is what the schema says."""
        whole = {"allOf": [schema], "components": self._components}
        problems = [
            f"{error.json_path}: {error.message[:300]}"
            for error in Draft202012Validator(whole).iter_errors(value)
        ]
        assert problems == []

    def check_content(self, text: str, media: str, content: Mapping[str, Any]) -> None:
        """The same for a body of any of our media types, the items of a stream included."""
        match media:
            case "text/event-stream":
                for event in events(text):
                    self.check(event, content["schema"])
                    known, reset = content["schema"]["anyOf"]
                    of = reset if event["event"] == "reset" else known
                    payload = of["properties"]["data"]["contentSchema"]
                    self.check(json.decode(event["data"]), payload)
            case "application/x-ndjson":
                self.check(text, content["schema"])
                for line in text.splitlines():
                    self.check(json.decode(line), content["x-item-schema"])
            case _:
                self.check(json.decode(text), content["schema"])


def events(text: str) -> list[dict[str, str]]:
    """The events of a stream's text, as a client sees them."""
    blocks = text.split("\n\n")
    found = [dict(re.findall(r"^(\w+): (.*)$", block, re.MULTILINE)) for block in blocks]
    return [event for event in found if "data" in event]


@dataclass(frozen=True)
class Example:
    """An example of a request, or a request that needs none."""

    method: str
    path: str
    name: str
    media: str
    body: bytes | None
    operation: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.name} {self.media}".strip()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of every operation."""
    for path, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def requests() -> Iterator[Example]:
    """Every request that the document shows or that is whole without a body."""
    for path, method, operation in operations():
        if "requestBody" not in operation:
            yield Example(method, path, "", "", None, operation)
            continue
        for media, content in operation["requestBody"]["content"].items():
            for name, example in content["examples"].items():
                value = example["value"]
                body = value.encode() if media == NDJSON else json.encode(value)
                yield Example(method, path, name, media, body, operation)


def responses() -> Iterator[tuple[str, str, Any, Mapping[str, Any]]]:
    """Label, media type, example and description of every answer that is shown."""
    document = openapi_document()
    told = {
        f"{operation['operationId']} {status}": response
        for _, _, operation in operations()
        for status, response in operation["responses"].items()
        if "$ref" not in response
    }
    for label, response in (told | document["components"]["responses"]).items():
        for media, content in response.get("content", {}).items():
            for example in content.get("examples", {}).values():
                yield label, media, example["value"], content


def as_text(value: Any, media: str) -> str:
    """An example as its body."""
    return json.encode(value).decode() if media in {JSON, PROBLEM} else str(value)
