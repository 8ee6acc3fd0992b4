"""Every example of both specifications is run against the real stack."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
import msgspec
import pytest

from deploy.local.ports import free_port
from gateway.examples import PROBLEMS
from shared.keys import add
from tests.e2e.conftest import PATIENCE, Api
from tests.services import Services
from tests.specification import (
    Example,
    Validator,
    asyncapi_document,
    events,
    openapi_document,
    requests,
)

# Where a lookup has to go on for a while.
LATER = {"identificador": "01310-100", "tipo": "cep", "atraso": 3600}
SOON = {"identificador": "01310-200", "tipo": "cep"}


async def path_of(api: Api, example: Example) -> str:
    """The path with its names filled in: a task_id of its own, the example for the rest."""
    path = example.path
    for parameter in example.operation["parameters"]:
        if parameter["name"] == "task_id":
            body = LATER if example.method == "DELETE" else SOON
            _, answer = await api.json("POST", "/api/consultas", body)
            path = path.replace("{task_id}", answer["task_id"])
        elif parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
    return path


def headers_of(example: Example) -> dict[str, str]:
    """The headers shown, an Idempotency-Key made the request's own."""
    shown = [one for one in example.operation["parameters"] if one["in"] == "header"]
    headers = {one["name"]: one["example"] for one in shown}
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] += f" {example}"
    return {**headers, "Content-Type": example.media} if example.media else headers


def expected(example: Example) -> set[str]:
    """The statuses under which the document shows an answer to this request."""
    answers = {
        status: {name for content in answer.get("content", {}).values()
                 for name in content.get("examples", {})}
        for status, answer in example.operation["responses"].items()
        if status.startswith("2")
    }  # fmt: skip
    shown = {status for status, names in answers.items() if example.name in names}
    return shown or set(answers)


@pytest.mark.parametrize("example", list(requests()), ids=str)
async def test_an_http_example_gets_an_answer_that_is_described(api: Api, example: Example) -> None:
    url = f"{api.gateway}{await path_of(api, example)}"
    async with api.http.request(
        example.method, url, data=example.body, headers=headers_of(example)
    ) as answer:
        text = await answer.text()
    assert str(answer.status) in expected(example), text
    described = example.operation["responses"][str(answer.status)]
    assert set(described.get("headers", {})) <= set(answer.headers)
    content = described["content"][answer.content_type]
    Validator(openapi_document(), strict=True).check_content(text, answer.content_type, content)
    if answer.content_type == "text/event-stream":
        assert events(text)[-1]["event"] == "completo"


async def test_the_query_continues_where_the_header_does(api: Api) -> None:
    # Of two parameters that say the same, the examples above have sent one.
    await api.stream("01001-000", "cep")
    _, answer = await api.json(
        "POST", "/api/consultas", {"identificador": "01001000", "tipo": "cep"}
    )
    where = f"{api.gateway}/api/consultas/{answer['task_id']}/eventos"
    for asked in ({"headers": {"Last-Event-ID": "2"}}, {"params": {"last_event_id": "2"}}):
        async with api.http.get(where, **asked) as stream:  # type: ignore[arg-type]
            seen = events(await stream.text())
        assert [event["id"] for event in seen] == ["3", "4"]


@pytest.fixture
async def guarded(services: Services, tmp_path: Path) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """A gateway with a key that may do little, and its headers."""
    file, port = tmp_path / "keys.json", free_port()
    key = add(file, "acme", ["consultar"], "1/min", 5)
    services.start("gateway.2", GATEWAY_PORT=str(port), API_KEYS_FILE=str(file))
    yield f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {key}"}
    services.kill("gateway.2")


async def test_the_problems_are_said_as_shown(
    api: Api, guarded: tuple[str, dict[str, str]]
) -> None:
    own, key = guarded
    lookups = f"{api.gateway}/api/consultas"
    _, ended = await api.json("DELETE", f"/api/consultas/{await _ended(api)}")
    assert ended["status"] == 409
    good, bad = msgspec.json.encode(SOON), b'{"identificador": "11144477736"}'
    form = {"Content-Type": "application/json"}
    async with api.http.post(f"{own}/api/consultas", data=good, headers={**form, **key}) as first:
        assert first.status == 200  # the cache has it by now
    shown = {409: ended}
    for status, method, url, body, headers in (
        (400, "POST", lookups, b"{", form),
        (401, "POST", f"{own}/api/consultas", good, form),
        (403, "GET", f"{own}/api/filas", None, key),
        (404, "GET", f"{lookups}/nada", None, {}),
        (413, "POST", lookups, b" " * 70_000, form),
        (415, "POST", lookups, good, {"Content-Type": "text/plain"}),
        (422, "POST", lookups, bad, form),
        (429, "POST", f"{own}/api/consultas", good, {**form, **key}),
    ):
        async with api.http.request(method, url, data=body, headers=headers) as answer:
            assert answer.status == status
            assert answer.content_type == "application/problem+json"
            described = openapi_document()["components"]["responses"][str(status)]
            assert set(described.get("headers", {})) <= set(answer.headers)
            shown[status] = msgspec.json.decode(await answer.read())
    # The two that are left take a slow client and a dead server; other tests have those.
    assert set(PROBLEMS) - set(shown) == {408, 503}
    for status, problem in shown.items():
        described = openapi_document()["components"]["responses"][str(status)]
        content = described["content"]["application/problem+json"]
        assert problem == content["examples"]["erro"]["value"]


async def _ended(api: Api) -> str:
    status, answer = await api.json("POST", "/api/consultas", SOON)
    # One of an earlier test may have ended, and so filled the cache, just now.
    if status == 202:
        async with api.http.get(f"{api.gateway}{answer['eventos']}") as stream:
            await stream.read()
    return str(answer["task_id"])


def shown(message: str) -> list[Any]:
    found: list[Any] = asyncapi_document()["components"]["messages"][message]["examples"]
    return found


@asynccontextmanager
async def channel(services: Services) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(services.env["AMQP_URL"]) as connection:
        yield await connection.channel()


async def publish(on: aio_pika.abc.AbstractChannel, name: str, payload: Any, **names: str) -> None:
    """Publish on a channel of the document, by what its address and bindings say."""
    about = asyncapi_document()["channels"][name]
    key = about["address"].format(**names)
    exchange = await on.get_exchange(about["bindings"]["amqp"]["exchange"]["name"])
    message = aio_pika.Message(
        msgspec.json.encode(payload), content_type="application/json", delivery_mode=2
    )
    await exchange.publish(message, key)


@pytest.mark.parametrize("example", shown("pedido"), ids=lambda one: str(one["name"]))
async def test_a_request_that_is_shown_is_answered_on_the_bus(
    services: Services, api: Api, example: dict[str, Any]
) -> None:
    del api
    payload = example["payload"]
    check = Validator(asyncapi_document(), strict=True).check
    async with channel(services) as on:
        queue = await on.declare_queue(exclusive=True)
        await queue.bind("events", f"{payload['origem']}.#")
        await publish(on, "pedidos", payload)
        seen = []
        async with asyncio.timeout(PATIENCE), queue.iterator(no_ack=True) as messages:
            async for message in messages:
                event = msgspec.json.decode(message.body)
                check(event, {"$ref": "#/components/schemas/Event"})
                key = f"{payload['origem']}.{payload['task_id']}.{event['tipo']}"
                assert message.routing_key == key
                seen.append(event["tipo"])
                if seen[-1] in {"completo", "error"}:
                    break
    assert seen[-1] == "completo"


async def test_an_event_that_is_shown_is_heard_and_is_like_a_real_one(
    services: Services, api: Api
) -> None:
    real = {event["tipo"]: event for event in await api.stream("01001-000", "cep")}
    async with channel(services) as on:
        queue = await on.declare_queue(exclusive=True)
        await queue.bind("events", "billing.#")
        for example in shown("evento"):
            event = example["payload"]
            names = {"origem": "billing", "task_id": event["task_id"], "evento": event["tipo"]}
            await publish(on, "eventos", event, **names)
            async with asyncio.timeout(PATIENCE), queue.iterator(no_ack=True) as messages:
                async for message in messages:
                    assert msgspec.json.decode(message.body) == event
                    break
            assert set(event) == set(real[event["tipo"]])


async def test_a_dead_letter_that_is_shown_is_what_becomes_of_its_request(
    services: Services, api: Api
) -> None:
    del api
    [example] = shown("morta")
    about = asyncapi_document()["components"]["messages"]["morta"]
    async with channel(services) as on:
        await publish(on, "pedidos", example["payload"])
        grave = await on.get_queue(
            asyncapi_document()["channels"]["mortas.lookup.requested"]["address"]
        )
        async with asyncio.timeout(PATIENCE), grave.iterator() as messages:
            async for message in messages:
                await message.ack()
                if msgspec.json.decode(message.body) == example["payload"]:
                    break
    headers = dict(message.headers)
    Validator(asyncapi_document(), strict=True).check(headers, about["headers"])
    when = {"x-died-at": headers["x-died-at"]}
    assert headers == {**example["headers"], **when}


async def test_both_documents_and_their_page_are_open_to_everybody(
    guarded: tuple[str, dict[str, str]],
) -> None:
    own, _ = guarded
    async with aiohttp.ClientSession() as http:
        for path in ("/openapi.json", "/asyncapi.json", "/docs"):
            async with http.get(f"{own}{path}") as answer:
                assert answer.status == 200
                body, tag = await answer.read(), answer.headers["ETag"]
            async with http.get(f"{own}{path}", headers={"If-None-Match": tag}) as answer:
                assert answer.status == 304
            document = {"/openapi.json": openapi_document(), "/asyncapi.json": asyncapi_document()}
            if path in document:
                assert msgspec.json.decode(body) == document[path]
