"""The demo tells a hit from a miss, and says so when the stack does not do its part."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.local.demo import DemoFailed, demonstrate
from deploy.local.stack import ServiceDied
from gateway.answers import json_answer
from shared.domain.answers import CacheStatistics

Answers = list[list[dict[str, object]]]
STAGE: dict[str, object] = {"tipo": "telefone", "situacao": "ok", "origem": "x", "dados": {"n": 1}}
DONE: dict[str, object] = {"tipo": "completo", "dados": {}}
FAILED: dict[str, object] = {"tipo": "error", "dados": {"codigo": "cancelado", "mensagem": "fim"}}
WHERE = "/api/consultas/00000000-0000-4000-8000-000000000001/eventos"
CACHED = DONE | {"cache": True}


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[str, Answers]]:
    """A stand-in whose n-th lookup streams the n-th list of events."""
    answers: Answers = []

    async def lookup(request: web.Request) -> web.StreamResponse:
        if not answers:
            problem = {"title": "Temporariamente indisponível", "detail": "longe"}
            media = "application/problem+json"
            return web.json_response(problem, status=503, content_type=media)
        headers = {"Content-Type": "text/event-stream", "Location": WHERE}
        stream = web.StreamResponse(headers=headers)
        await stream.prepare(request)
        await stream.write(b": ping\n\n")
        for number, event in enumerate(answers.pop(0), 1):
            told = {"timestamp": "2026-02-25T14:30:45.123456Z", "seq": number, **event}
            body = f"id: {number}\nevent: {event['tipo']}\ndata: {json.dumps(told)}\n\n"
            await stream.write(body.encode())
        return stream

    async def statistics(_: web.Request) -> web.Response:
        return json_answer(CacheStatistics(total_keys=0, hits=0, misses=0, memory_used=0))

    app = web.Application()
    app.router.add_post("/api/consulta-stream", lookup)
    app.router.add_get("/api/cache/estatisticas", statistics)
    async with TestServer(app) as server:
        yield str(server.make_url("")), answers


async def test_a_miss_and_a_hit_are_printed_and_compared(
    gateway: tuple[str, Answers], capsys: pytest.CaptureFixture[str]
) -> None:
    url, answers = gateway
    answers += [[STAGE, DONE], [STAGE | {"cache": True}, CACHED]]
    await demonstrate(url, lambda: None)
    printed = capsys.readouterr().out
    assert printed.count("telefone   ok") == 2
    assert "times faster" in printed


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([[STAGE, DONE], [STAGE, DONE]], "second lookup was not served from the cache"),
        ([[STAGE, CACHED], [STAGE, CACHED]], "first lookup was already served from the cache"),
        ([[STAGE]], "did not come to its end: a conexão com o gateway caiu"),
        ([[FAILED]], "ended without `completo`.*fim"),
        ([], "did not come to its end: longe"),
    ],
)
async def test_what_went_wrong_is_said(
    gateway: tuple[str, Answers], given: Answers, reason: str
) -> None:
    url, answers = gateway
    answers += given
    with pytest.raises(DemoFailed, match=reason):
        await demonstrate(url, lambda: None)


async def test_a_service_that_dies_ends_the_demo(gateway: tuple[str, Answers]) -> None:
    def check() -> None:
        raise ServiceDied("analyzer", -9)

    with pytest.raises(ServiceDied, match="analyzer was ended by SIGKILL"):
        await demonstrate(gateway[0], check)
