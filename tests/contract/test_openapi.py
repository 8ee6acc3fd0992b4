"""The OpenAPI document and the routes are one: nothing in the one that is not in the other."""

import re

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway import glossary
from gateway.operation import operation_of
from shared.keys import SCOPES
from tests.specification import (
    Example,
    Validator,
    application,
    as_text,
    asyncapi_document,
    openapi_document,
    operations,
    requests,
    responses,
)

# Pages and documents; everything else is the API.
PUBLIC = {"/", "/docs", "/openapi.json", "/asyncapi.json", "/static"}


def routes() -> list[web.AbstractRoute]:
    return [
        route
        for route in application().router.routes()
        if route.resource is not None and route.resource.canonical not in PUBLIC
    ]


def test_it_is_an_openapi_document() -> None:
    assert openapi_document()["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(openapi_document()).validate()


def test_every_route_is_in_it_and_nothing_else() -> None:
    answered = {
        (route.resource.canonical, route.method)
        for route in routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert answered == {(path, method) for path, method, _ in operations()}
    assert all(path.startswith("/api/") for path, _ in answered)


@pytest.mark.parametrize(
    "route", routes(), ids=lambda route: f"{route.method} {route.resource.canonical}"
)
def test_every_route_says_what_it_is(route: web.AbstractRoute) -> None:
    contract = operation_of(route.handler)
    assert contract is not None
    assert contract.scope in SCOPES
    assert contract.summary
    assert contract.answers
    assert route.resource is not None
    named = {one.name for one in contract.parameters if one.where == "path"}
    assert named == set(re.findall(r"{(\w+)}", route.resource.canonical))


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))


def test_every_body_and_every_answer_is_shown() -> None:
    for _, _, operation in operations():
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        answers = [one for one in operation["responses"].values() if "content" in one]
        for shown in bodies + answers:
            for content in shown["content"].values():
                assert content["examples"], operation["operationId"]


@pytest.mark.parametrize("example", list(requests()), ids=str)
def test_every_request_that_is_shown_is_one(example: Example) -> None:
    if example.body is not None:
        content = example.operation["requestBody"]["content"][example.media]
        Validator(openapi_document(), strict=True).check_content(
            example.body.decode(), example.media, content
        )


def test_every_answer_that_is_shown_is_one() -> None:
    validator = Validator(openapi_document(), strict=True)
    shown = list(responses())
    assert len(shown) > 20
    for _, media, value, content in shown:
        validator.check_content(as_text(value, media), media, content)


def test_a_stranger_event_is_none() -> None:
    validator = Validator(openapi_document())
    schema = {"$ref": "#/components/schemas/Event"}
    event = {"tipo": "completo", "timestamp": "2026-02-25T14:30:45.123456Z", "dados": {}}
    with pytest.raises(AssertionError):
        validator.check(event, schema)
    validator.check({**event, "tipo": "telegram"}, schema)


def test_every_type_and_field_is_told_in_portuguese() -> None:
    used = set()
    for document in (openapi_document(), asyncapi_document()):
        for name, schema in document["components"]["schemas"].items():
            assert schema["description"] == glossary.TYPES[name]
            used.add(name)
            for field, of in schema.get("properties", {}).items():
                assert of["description"], f"{name}.{field}"
                own = f"{name}.{field}"
                used.add(own if own in glossary.FIELDS else field)
    assert used >= {*glossary.TYPES, *glossary.FIELDS}, "the glossary tells what nothing says"
