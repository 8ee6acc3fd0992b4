"""The commands for operators, against a stand-in that answers as the contract says."""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from consulta.cli.__main__ import main
from consulta.http import HttpClient

QUEUES = {
    "tasks_ativas": 3, "tasks_agendadas": 2, "tasks_reservadas": 1, "workers": 7,
    "servicos": {"gateway": 1, "enricher endereco": 6},
    "filas": {
        "stage.endereco": {
            "prontas": 1200, "mortas": 0, "ativas": 3, "esperando": 41, "idade_s": 12.34,
            "limite": "50/min", "permissoes": 0,
        },
        "lookup.analyzed": {
            "prontas": 0, "mortas": 1, "ativas": 0, "esperando": 0, "idade_s": None,
            "limite": "off", "permissoes": None,
        },
    },
}  # fmt: skip
CIRCUITS = {
    "telegram_api": {
        "estado": "FECHADO", "falhas": 0, "sucesso": 145, "motivo": "", "reabre_em": None,
        "forcado": False, "replicas": 2,
    },
    "bridge": {
        "estado": "ABERTO", "falhas": 9, "sucesso": 1, "motivo": "5xx\x1b[2J",
        "reabre_em": "2026-02-25T14:30:45.123456Z", "forcado": False, "replicas": 2,
    },
}  # fmt: skip
JOBS = {
    "tarefas": [
        {
            "nome": "limpeza_cache", "agenda": "0 */6 * * *", "ultima": None, "situacao": "nunca",
            "resultado": None, "perdidas": 0, "proxima": "amanhã",
        },
        {
            "nome": "verificacao_saude", "agenda": "*/5 * * * *", "ultima": "ontem",
            "situacao": "interrompida", "resultado": {"redis": True}, "perdidas": 12,
            "proxima": "hoje",
        },
    ]
}  # fmt: skip
STATISTICS = {"total_keys": 12, "hits": 3, "misses": 1, "memory_used": 3 * 2**20}


@pytest.fixture
async def asked(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[tuple[str, str, Any]]]:
    """What the stand-in was asked."""
    seen: list[tuple[str, str, Any]] = []
    answers: dict[str, Any] = {
        "/api/filas": QUEUES, "/api/circuitos": CIRCUITS, "/api/agenda": JOBS,
        "/api/cache/estatisticas": STATISTICS, "/api/cache/invalidar": {"removidas": 2},
        "/api/cache/versao": {"versao": 4},
    }  # fmt: skip

    async def handle(request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read() or b"null")
        seen.append((request.method, request.path, body))
        return web.json_response(answers.get(request.path, {}))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server:
        monkeypatch.setenv("CONSULTA_URL", str(server.make_url("")))
        yield seen


async def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    assert await asyncio.to_thread(main, argv) == 0
    return capsys.readouterr().out.splitlines()


async def test_queues_are_a_table(capsys: pytest.CaptureFixture[str], asked: list[Any]) -> None:
    assert await printed(capsys, "queues") == [
        "fila             prontas  esperando  ativas  mortas  idade s  limite  permissões",
        "stage.endereco      1200         41       3       0     12.3  50/min           0",
        "lookup.analyzed        0          0       0       1        -  off              -",
        "",
        "ativas 3 · agendadas 2 · reservadas 1 · workers 7",
    ]


@pytest.mark.parametrize(
    ("command", "answer"), [("queues", QUEUES), ("circuits", CIRCUITS), ("jobs", JOBS)]
)
async def test_as_json_nothing_the_gateway_said_is_left_out(
    capsys: pytest.CaptureFixture[str], asked: list[Any], command: str, answer: Any
) -> None:
    [line] = await printed(capsys, command, "--json")
    assert json.loads(line) == answer


async def test_circuits_are_a_table_that_commands_no_terminal(
    capsys: pytest.CaptureFixture[str], asked: list[Any]
) -> None:
    lines = await printed(capsys, "circuits")
    assert lines[0].split() == ["circuito", "estado", "falhas", "sucesso", "reabre", "motivo"]
    assert lines[1].startswith("bridge        ABERTO        9        1  25/02 ")
    assert lines[1].endswith("  5xx�[2J")
    assert lines[2].split() == ["telegram_api", "FECHADO", "0", "145", "-", "-"]


@pytest.mark.parametrize(
    ("word", "state"), [("open", "ABERTO"), ("close", "FECHADO"), ("auto", "AUTOMATICO")]
)
async def test_a_circuit_is_held(
    capsys: pytest.CaptureFixture[str], asked: list[Any], word: str, state: str
) -> None:
    assert await printed(capsys, "circuits", word, "telegram_api") == [f"telegram_api: {state}"]
    assert asked == [("PUT", "/api/circuitos/telegram_api", {"estado": state})]


async def test_jobs_are_shown_and_run(capsys: pytest.CaptureFixture[str], asked: list[Any]) -> None:
    lines = await printed(capsys, "jobs")
    assert lines == [
        "tarefa             agenda       última  situação      perdidas  próxima  resultado",
        "limpeza_cache      0 */6 * * *  -       nunca                0  amanhã   -",
        'verificacao_saude  */5 * * * *  ontem   interrompida        12  hoje     {"redis":true}',
    ]
    assert await printed(capsys, "jobs", "run", "a/b") == ["a/b: pedida"]
    assert asked[-1][:2] == ("POST", "/api/agenda/a/b")


async def test_the_cache_is_told_and_forgotten(
    capsys: pytest.CaptureFixture[str], asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await printed(capsys, "cache", "stats"))[1].split() == [
        "12",
        "3",
        "1",
        "75.0",
        "%",
        "3.0",
    ]
    monkeypatch.setattr(sys, "stdin", io.StringIO("111.444.777-35\n"))
    assert await printed(capsys, "cache", "invalidate", "cpf") == ["removidas: 2"]
    assert asked[-1][2] == {"tipo": "cpf", "identificador": "111.444.777-35"}
    pattern = "consulta:v2:cpf:*"
    assert await printed(capsys, "cache", "invalidate", "--padrao", pattern) == ["removidas: 2"]
    assert asked[-1][2] == {"padrao": pattern}
    assert await printed(capsys, "cache", "version", "--yes") == ["versão: 4"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("typed", ["s\n", "n\n"])
async def test_a_person_is_asked_first(
    capsys: pytest.CaptureFixture[str], asked: list[Any], monkeypatch: pytest.MonkeyPatch,
    typed: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    code = await asyncio.to_thread(main, ["cache", "version"])
    assert (code, bool(asked)) == ((0, True) if typed == "s\n" else (1, False))
    assert "Invalidar o cache inteiro? [s/N]" in capsys.readouterr().err


@pytest.mark.parametrize("no_color", ["", "1"])
async def test_colours_are_for_people_who_want_them(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, no_color: str
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    await asyncio.to_thread(main, ["circuits"])
    assert ("\033[31mABERTO\033[0m" in screen.getvalue()) is not bool(no_color)


async def test_an_endpoint_that_is_not_there_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with TestServer(web.Application()) as server:
        monkeypatch.setenv("CONSULTA_URL", str(server.make_url("")))
        assert await asyncio.to_thread(main, ["jobs"]) == 1
    assert capsys.readouterr().err == "consulta: o servidor respondeu 404\n"


async def test_many_are_sent_as_they_are_taken() -> None:
    """The next line is made only once the one before it was answered."""
    made: list[int] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        stream = web.StreamResponse()
        await stream.prepare(request)
        index = 0
        while line := await request.content.readline():
            assert json.loads(line) == {"tipo": "cep", "identificador": f"{index:08d}"}
            answer = {"indice": index, "http": 202, "status": "PENDING", "task_id": "t"}
            await stream.write(json.dumps(answer).encode() + b"\n")
            index += 1
        return stream

    def items() -> Any:
        for place in range(50):
            made.append(place)
            yield {"kind": "cep", "identifier": f"{place:08d}"}

    app = web.Application()
    app.router.add_post("/api/consultas/lote", handle)
    async with TestServer(app) as server, HttpClient(str(server.make_url(""))) as client:
        answers = [answer async for answer in client.bulk(items())]
    assert [answer.index for answer in answers] == made == list(range(50))
