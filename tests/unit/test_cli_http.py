"""The HTTP client against a gateway that behaves badly."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from consulta.errors import ApiError, LookupLost, Unreachable
from consulta.http import HttpClient
from consulta.options import Pause
from shared.domain.answers import Reset, Snapshot
from shared.messages import Event, encode

TASK = "6f1c2b4e-0000-4000-8000-aaaabbbbcccc"
TYPES = ("iniciado", "telegram", "endereco", "telefone", "analysis", "completo")


def frames(*types: str) -> list[bytes]:
    return [
        b"id: %d\nevent: %b\ndata: %b\n\n"
        % (
            seq,
            type_.encode(),
            json.dumps({"tipo": type_, "seq": seq, "task_id": TASK, "timestamp": "t"}).encode(),
        )
        for seq, type_ in enumerate(types, 1)
    ]


TOLD = frames(*TYPES)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway:
    """Gives its answers in turn, and remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[Answer] = []
        self.asked: list[web.Request] = []
        self.bodies: list[bytes] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.read())
        return await self.answers.pop(0)(request)


@pytest.fixture
async def gateway(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """A stand-in; the client does not wait before it comes back."""
    monkeypatch.setattr(Pause, "next", lambda _, at_least=0.0: 0.0)
    gateway, app = Gateway(), web.Application()
    app.router.add_route("*", "/{path:.*}", gateway.handle)
    async with TestServer(app) as server:
        gateway.url = str(server.make_url(""))
        yield gateway


def streams(data: bytes, *, cut: bool = False, status: int = 200) -> Answer:
    """A stream of these bytes that then ends, or is torn off."""

    async def answer(request: web.Request) -> web.StreamResponse:
        where = f"/api/consultas/{TASK}/eventos"
        stream = web.StreamResponse(status=status, headers={"Location": where})
        await stream.prepare(request)
        await stream.write(data)
        if cut:
            assert request.transport is not None
            request.transport.close()
        return stream

    return answer


def tears() -> Answer:
    """Closes the connection without a word."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    return answer


def problem(status: int, detail: str = "", field: str = "", **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(
            {"status": status, "detail": detail, "campo": field},
            status=status, content_type="application/problem+json", headers=headers,
        )  # fmt: skip

    return answer


async def heard(gateway: Gateway, **options: Any) -> list[Event]:
    async with HttpClient(gateway.url, "the-key", patience=5) as client:
        async with asyncio.timeout(20):
            return [event async for event in client.lookup("cpf", "11144477735", **options)]


async def test_a_lookup_is_asked_for_as_told_and_read_to_its_end(gateway: Gateway) -> None:
    gateway.answers = [streams(b": ping\n\n" + b"".join(TOLD) + b"never read")]
    events = await heard(gateway, priority=9, stages=["endereco"], legal_basis="art. 7")
    assert [event.type for event in events] == list(TYPES)
    [request] = gateway.asked
    assert (request.method, request.path) == ("POST", "/api/consulta-stream")
    assert request.headers["Authorization"] == "Bearer the-key"
    assert json.loads(gateway.bodies[0]) == {
        "tipo": "cpf", "identificador": "11144477735", "prioridade": 9, "etapas": ["endereco"],
        "base_legal": "art. 7",
    }  # fmt: skip


@pytest.mark.parametrize("place", range(0, sum(map(len, TOLD)), 37))
async def test_a_stream_torn_anywhere_goes_on_after_the_last_event(
    gateway: Gateway, place: int
) -> None:
    gateway.answers = [streams(b"".join(TOLD)[:place], cut=place % 2 == 0)]
    ends = list(itertools.accumulate(map(len, TOLD)))
    whole = sum(end <= place for end in ends)
    # What the client has seen may be sent again by a gateway that does not know.
    gateway.answers += [streams(b"".join(TOLD[max(whole - 1, 0) :]))]
    assert [event.seq for event in await heard(gateway)] == [1, 2, 3, 4, 5, 6]
    resumed = gateway.asked[1]
    assert (resumed.method, resumed.path) == ("GET", f"/api/consultas/{TASK}/eventos")
    assert resumed.headers.get("Last-Event-ID", "0") == str(whole)


async def test_a_log_that_was_set_back_costs_no_event_and_repeats_none(gateway: Gateway) -> None:
    reset = b"event: reset\ndata: %b\n\n" % encode(Reset(data=Snapshot(status="STARTED", events=2)))
    other = frames("iniciado", "telefone", "endereco", "telegram", "analysis", "completo")
    gateway.answers = [streams(b"".join(TOLD[:3])), streams(reset + b"".join(other))]
    types = [event.type for event in await heard(gateway)]
    assert types == ["iniciado", "telegram", "endereco", "telefone", "analysis", "completo"]


async def test_an_answer_lost_on_the_way_is_asked_for_with_the_same_key(gateway: Gateway) -> None:
    gateway.answers = [tears(), tears(), streams(b"".join(TOLD))]
    assert len(await heard(gateway)) == 6
    assert len({request.headers["Idempotency-Key"] for request in gateway.asked}) == 1


async def test_outages_while_it_resumes_are_waited_out(gateway: Gateway) -> None:
    outages = [problem(503), problem(429, **{"Retry-After": "2"}), problem(502), tears()]
    gateway.answers = [streams(TOLD[0]), *outages, streams(b"".join(TOLD[1:]))]
    assert len(await heard(gateway)) == 6


async def test_a_refusal_names_its_field_and_repeats_nothing(gateway: Gateway) -> None:
    gateway.answers = [problem(422, "dígitos não conferem", "identificador")]
    with pytest.raises(ApiError) as caught:
        await heard(gateway)
    error = caught.value
    assert (error.status, error.field) == (422, "identificador")
    assert str(error) == "identificador: dígitos não conferem"


async def test_what_does_not_pass_is_not_retried(gateway: Gateway) -> None:
    gateway.answers = [problem(503, "a fila não responde", **{"Retry-After": "2"})]
    with pytest.raises(ApiError) as caught:
        await heard(gateway)
    assert caught.value.retry_after == 2
    gateway.answers = [streams(TOLD[0]), problem(404, "não há consulta")]
    with pytest.raises(ApiError, match="não há consulta"):
        await heard(gateway)
    gateway.answers = [streams(TOLD[0]), streams(b"", status=204)]
    with pytest.raises(LookupLost, match=TASK):
        await heard(gateway)


async def test_patience_ends(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pause, "next", lambda _, at_least=0.0: 6.0)
    gateway.answers = [streams(TOLD[0])]
    with pytest.raises(LookupLost) as lost:
        await heard(gateway)
    assert lost.value.task_id == TASK
    gateway.answers = [tears()]
    with pytest.raises(Unreachable):
        await heard(gateway)


async def test_nobody_there_is_said_at_once() -> None:
    async with HttpClient("http://127.0.0.1:1") as client:
        with pytest.raises(Unreachable, match="não responde"):
            await anext(client.lookup("cpf", "11144477735"))
        with pytest.raises(Unreachable, match="não responde"):
            await client.queues()


async def test_another_server_is_told_apart(gateway: Gateway) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<h1>It works!</h1>", content_type="text/html")

    gateway.answers = [page, page]
    with pytest.raises(ApiError, match="não é a de um gateway"):
        await heard(gateway)
    async with HttpClient(gateway.url) as client:
        with pytest.raises(ApiError, match="não é a de um gateway"):
            await client.queues()


async def test_a_redirect_is_not_followed_with_the_key(gateway: Gateway) -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": gateway.url})

    gateway.answers = [elsewhere]
    with pytest.raises(ApiError, match="307"):
        await heard(gateway)
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", ""])
def test_only_addresses_of_http_are_taken(url: str) -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        HttpClient(url)


def test_the_key_does_not_show() -> None:
    assert "the-key" not in repr(vars(HttpClient("http://x", "the-key")))


def test_pauses_grow_to_a_bound_and_obey_the_server() -> None:
    pause = Pause(0.5, 4)
    waits = [pause.next() for _ in range(8)]
    assert 0.25 <= waits[0] <= 0.5
    assert 2 <= waits[-1] <= 4
    assert pause.next(30) == 30
    pause.reset()
    assert pause.next() <= 0.5
