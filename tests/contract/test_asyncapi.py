"""The AsyncAPI document is the bus: its topology, its messages, by the official schema."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from msgspec import json

from shared.messages import Event, Requested
from shared.topology import EVENTS, LOOKUPS, QUEUES, REQUESTED
from tests.specification import Validator, asyncapi_document

SCHEMA = Path(__file__).parent / "asyncapi-3.0.0" / "schema.json"


def channels() -> dict[str, Any]:
    found: dict[str, Any] = asyncapi_document()["channels"]
    return found


def problems(document: Any) -> list[str]:
    validator = Draft7Validator(json.decode(SCHEMA.read_bytes()))
    return [
        f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(document)
    ]


def test_it_is_an_asyncapi_document() -> None:
    assert asyncapi_document()["asyncapi"] == "3.0.0"
    assert problems(asyncapi_document()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"operations": {"x": {"action": "publish", "channel": {"$ref": "#/channels/pedidos"}}}},
        {"channels": {"x": {"address": 1}}},
        {"channels": {"x": {"address": "x", "bindings": {"amqp": {"is": "topic"}}}}},
        {"servers": {"x": {"host": "h"}}},
    ],
)
def test_the_schema_tells_what_is_none(wrong: dict[str, Any]) -> None:
    assert problems({**asyncapi_document(), **wrong})


def test_every_reference_leads_somewhere() -> None:
    def follow(value: Any) -> None:
        match value:
            case {"$ref": str(to)}:
                found: Any = asyncapi_document()
                for part in to.removeprefix("#/").split("/"):
                    found = found[part]
            case dict():
                for part in value.values():
                    follow(part)
            case list():
                for part in value:
                    follow(part)

    follow(asyncapi_document())


def test_its_channels_are_those_of_the_topology() -> None:
    assert channels()["pedidos"]["address"] == REQUESTED.name
    assert channels()["pedidos"]["bindings"]["amqp"]["exchange"]["name"] == LOOKUPS
    assert channels()["eventos"]["address"] == "{origem}.{task_id}.{evento}"
    assert channels()["eventos"]["bindings"]["amqp"]["exchange"]["name"] == EVENTS
    dead = {about["address"] for name, about in channels().items() if name.startswith("mortas.")}
    assert dead == {"unroutable.dead", *(queue.dead for queue in QUEUES)}


def test_every_channel_has_its_operation() -> None:
    used = {one["channel"]["$ref"] for one in asyncapi_document()["operations"].values()}
    assert used == {f"#/channels/{name}" for name in channels()}


def test_every_message_that_is_shown_is_one() -> None:
    validator = Validator(asyncapi_document(), strict=True)
    for name, message in asyncapi_document()["components"]["messages"].items():
        assert message["examples"]
        for example in message["examples"]:
            validator.check(example["payload"], message["payload"])
            validator.check(example.get("headers", {}), message.get("headers", {}))
            of = {"pedido": Requested, "evento": Event}.get(name)
            if of is not None:
                json.decode(json.encode(example["payload"]), type=of)
