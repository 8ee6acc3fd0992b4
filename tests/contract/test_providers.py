"""Each adapter against recorded answers: what it makes of them, and of what they may become."""

import copy
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from enricher import failures
from enricher.failures import Failure, Malformed, NotFound, RateLimited
from enricher.http import Reply, session
from enricher.providers.base import Answer
from enricher.providers.brasilapi import BrasilApi
from shared.records import RECORDS
from tests.contract.served import KEY, PROVIDERS, Example, examples, made, served

ALL = examples()
ONLINE = [example for example in ALL if "request" in example.content]
# What a field may turn into from one day to the next.
ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    7,
    1.5,
    "",
    "x",
    "0",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"codigo": []},
)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_every_provider_has_an_example_of_a_success_and_of_a_failure(name: str) -> None:
    contents = [example.content for example in ALL if example.provider == name]
    assert any("record" in content for content in contents)
    assert any("failure" in content for content in contents)


def test_every_example_is_of_a_provider() -> None:
    assert {example.provider for example in ALL} == set(PROVIDERS)


@pytest.mark.parametrize("example", ALL, ids=str)
async def test_a_recorded_answer_gives_the_expected_record_or_failure(example: Example) -> None:
    requests: list[str] = []

    def answer(request: web.Request) -> web.Response:
        requests.append(f"{request.method} {request.path}")
        return example.response()

    expected = example.content
    async with served(example.provider, answer) as provider:
        if "record" in expected:
            answered = await provider.fetch(example.query)
            assert msgspec.to_builtins(answered.record) == expected["record"]
            assert answered.source_date == expected.get("source_date")
        else:
            failure = getattr(failures, expected["failure"])
            with pytest.raises(failure) as caught:
                await provider.fetch(example.query)
            assert type(caught.value) is failure
            _same_details(caught.value, expected)
    if "request" in expected:
        assert set(requests) == {expected["request"]}


def _same_details(failure: Failure, expected: dict[str, Any]) -> None:
    if isinstance(failure, NotFound):
        assert failure.confirmed is expected["confirmed"]
    if isinstance(failure, RateLimited):
        assert failure.retry_after == expected["retry_after"]
    assert expected["query"]["value"] not in str(failure)


@pytest.mark.parametrize(
    "example", [example for example in ONLINE if "record" in example.content], ids=str
)
async def test_whatever_a_field_turns_into_the_answer_is_a_record_or_a_failure(
    example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    body: Any = None

    async def call(_: object, method: str, url: str, **__: object) -> Reply:
        token = b'{"access_token":"token"}'
        return Reply(200, token if url.endswith("/token") else json.dumps(body).encode(), True)

    for module in ("tokens", PROVIDERS[example.provider].__module__.rpartition(".")[2]):
        monkeypatch.setattr(sys.modules[f"enricher.providers.{module}"], "call", call)
    async with ClientSession() as http:
        provider = made(example.provider, "http://127.0.0.1", http)
        kinds: set[type] = set()
        for body in _variants(example.content["body"]):  # noqa: B007 - read by `call`
            try:
                answer = await provider.fetch(example.query)
            except Failure as failure:
                kinds.add(type(failure))
            else:
                kinds.add(Answer)
                # What is stored today has to be readable tomorrow.
                stored = msgspec.json.encode(answer.record)
                msgspec.json.decode(stored, type=RECORDS[example.query.stage])
        assert Answer in kinds


def _variants(body: dict[str, Any]) -> Iterator[Any]:
    yield from ODD
    for path in _paths(body):
        for odd in ODD:
            yield _changed(body, path, odd)
        yield _changed(body, path, ...)


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in inner:
        yield (key,)
        if isinstance(entry, dict | list):
            yield from ((key, *rest) for rest in _paths(entry))


def _changed(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(body)
    *parents, last = path
    target = changed
    for key in parents:
        target = target[key]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return changed


async def test_a_bridge_is_told_what_is_looked_up_why_and_with_which_key() -> None:
    (example,) = (one for one in ALL if str(one) == "telegram-success")
    heard: dict[str, Any] = {}

    async def keep(request: web.Request) -> web.Response:
        heard.update(await request.json(), key=request.headers["Authorization"])
        return example.response()

    app = web.Application()
    app.router.add_post("/lookup", keep)
    async with TestServer(app) as server, session() as http:
        query = replace(example.query, purpose="cobrança", legal_basis="art. 7º, V")
        await made("telegram", server.make_url("/"), http).fetch(query)
    assert heard == {
        "kind": "cpf",
        "stage": "telegram",
        "value": query.value,
        "purpose": "cobrança",
        "legal_basis": "art. 7º, V",
        "request_id": query.request_id,
        "key": f"Bearer {KEY.reveal()}",
    }


async def test_the_cities_of_an_area_code_are_those_of_all_its_states() -> None:
    said = [{"state": "GO", "cities": ["LUZIÂNIA", None]}, {"state": "DF", "cities": ["BRASÍLIA"]}]
    async with served("brasilapi", lambda _: web.json_response(said)) as provider:
        assert isinstance(provider, BrasilApi)
        assert await provider.cities("61") == ("DF", ["LUZIÂNIA", "BRASÍLIA"])


async def test_an_area_code_without_a_state_is_malformed() -> None:
    async with served("brasilapi", lambda _: web.json_response([{"cities": "x"}])) as provider:
        assert isinstance(provider, BrasilApi)
        with pytest.raises(Malformed):
            await provider.cities("61")
