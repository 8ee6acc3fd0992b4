"""`lookup-stream.js`, in a page whose `fetch` plays a server that misbehaves."""

import json
from typing import Any

import pytest

from tests.browser.console import Console
from tests.browser.played import FOLLOW, TASK, check, frame, problem, reset

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Every rule of the format once: byte order mark, comment, CR, LF and CRLF, several data lines, a
# field without a colon, no space and two spaces behind it, an id that stays, one with a NUL that
# does not count, retry good and bad, an unknown field, characters of 2 to 4 bytes, no data, and an
# event that is never finished.
STREAM = (
    "\ufeff: olá\n\n"
    "retry: 1500\nretry: 1s\n"
    "id: 7\nevent: endereco\ndata: São Paulo\n\n"
    "data: a\r\ndata:b\r\ndata:  c\r\ndata\r\n\r\n"
    "id: 8\0\rcor: azul\revent: x\rdata: € 🙂\r\r"
    "event: nada\n\n"
    "id\ndata: fim\n\n"
    "data: perdido"
)
EVENTS = [
    {"type": "endereco", "data": "São Paulo", "id": "7"},
    {"type": "message", "data": "a\nb\n c\n", "id": "7"},
    {"type": "x", "data": "€ 🙂", "id": "7"},
    {"type": "message", "data": "fim", "id": ""},
]
PARSE = """async ([text, cuts]) => {
    const { EventStreamParser } = await import("/static/event-stream.js");
    const bytes = new TextEncoder().encode(text);
    return cuts.map((size) => {
        const events = [], retries = [];
        const parser = new EventStreamParser((e) => events.push(e), (ms) => retries.push(ms));
        const [first, step] = size;
        parser.feed(bytes.slice(0, first));
        for (let at = first; at < bytes.length; at += step) parser.feed(bytes.slice(at, at + step));
        return { events, retries };
    });
}"""

# Plays `script`, one answer per request: {status, headers, body, broken}. A broken one fails
# after its body; the others end. Gives back what was asked and what the caller heard.
PLAY = """async ({ script, call, options }) => {
    const { lookUp, follow } = await import("/static/lookup-stream.js");
    const asked = [], events = [], states = [], resets = [];
    const honest = globalThis.fetch;
    globalThis.fetch = async (address, init) => {
        const { status = 200, headers = {}, body = "", broken = false, refused } = script.shift();
        const { method = "GET", headers: sent } = init;
        asked.push({ method, path: new URL(address).pathname + new URL(address).search, sent });
        if (refused) throw new TypeError("network");
        if (status !== 200) return new Response(status === 204 ? null : body, { status, headers });
        let told = false;
        const stream = new ReadableStream({
            pull(controller) {
                if (!told) { told = true; controller.enqueue(new TextEncoder().encode(body)); }
                else if (broken) controller.error(new TypeError("network"));
                else controller.close();
            },
        });
        return new Response(stream, { status, headers });
    };
    try {
        const heard = {
            ...options,
            onEvent: (event) => events.push(event.seq),
            onState: (state) => states.push(state),
            onReset: (snapshot) => resets.push(snapshot),
        };
        const made = call.body
            ? lookUp(call.body, heard)
            : follow(call.follow, { ...call, ...heard });
        const last = await made.catch((e) => ({ problem: { ...e }, name: e.name }));
        return { asked, events, states, resets, last };
    } finally {
        globalThis.fetch = honest;
    }
}"""
ASK = ("POST", "/api/consulta-stream")
DATA = {
    "iniciado": {"tipo": "cep", "etapas": ["endereco"]},
    "endereco": {"uf": "SP"},
    "completo": {"tipo": "cep", "etapas": {}, "analise": None},
}
AWAY = problem(503, "Temporariamente indisponível", "o armazenamento não responde; tente de novo")
WHERE = {"Location": f"/api/consultas/{TASK}/eventos"}


def _event(seq: int, kind: str = "endereco") -> str:
    return frame({"tipo": kind, "seq": seq, "dados": DATA[kind]})


async def _play(console: Console, script: list[Any], call: Any, **options: Any) -> Any:
    for place, answer in enumerate(script):
        if "refused" not in answer and answer.get("status") != 204:
            asked = ASK if "body" in call and place == 0 else FOLLOW
            check(asked, answer.get("status", 200), answer["body"])
    given = {"script": script, "call": call, "options": options}
    return await console.page.evaluate(PLAY, given)


async def test_the_parser_reads_the_same_however_the_stream_is_cut(console: Console) -> None:
    length = len(STREAM.encode())
    cuts = [[0, length], [0, 1], [0, 2], [0, 3], [0, 7], *([at, length] for at in range(length))]
    read = await console.page.evaluate(PARSE, [STREAM, cuts])
    assert len(read) == len(cuts)
    for told in read:
        assert told == {"events": EVENTS, "retries": [1500]}


async def test_a_broken_stream_goes_on_where_it_broke_and_nothing_comes_twice(
    console: Console,
) -> None:
    script = [
        {
            "headers": WHERE,
            "body": "retry: 1\n\n" + _event(1, "iniciado") + _event(2) + "id: 3\ndata: {",
            "broken": True,
        },
        {"refused": True},
        {"status": 503, "headers": {"Retry-After": "0"}, "body": json.dumps(AWAY)},
        {"body": _event(2) + _event(3)},
        {"body": _event(3) + _event(4, "completo") + _event(5)},
    ]
    body = {"tipo": "cep", "identificador": "01001-000"}
    told = await _play(console, script, {"body": body}, apiKey="k", ticket="t/1")
    assert told["events"] == [1, 2, 3, 4]
    assert told["last"]["tipo"] == "completo"
    assert told["states"] == [
        "conectando", "ao vivo", "reconectando", "reconectando", "reconectando", "retomado",
        "reconectando", "retomado", "encerrado",
    ]  # fmt: skip
    first, *more = told["asked"]
    assert (first["method"], first["path"]) == ("POST", "/api/consulta-stream")
    assert {asked["path"] for asked in more} == {f"/api/consultas/{TASK}/eventos?ticket=t%2F1"}
    assert [asked["sent"]["Last-Event-ID"] for asked in more] == ["2", "2", "2", "3"]
    assert {asked["sent"]["Authorization"] for asked in told["asked"]} == {"Bearer k"}


async def test_following_starts_where_it_is_told_and_ends_at_204(console: Console) -> None:
    told = await _play(console, [{"status": 204}], {"follow": TASK, "lastSeq": 6})
    assert told["asked"][0]["sent"]["Last-Event-ID"] == "6"
    assert (told["events"], told["last"]) == ([], None)
    assert told["states"] == ["conectando", "encerrado"]


async def test_a_reset_forgets_what_was_seen_and_replays(console: Console) -> None:
    script = [{"body": frame(reset("STARTED", 1)) + _event(1, "iniciado") + _event(2, "completo")}]
    told = await _play(console, script, {"follow": TASK, "lastSeq": 9})
    assert told["resets"] == [{"status": "STARTED", "eventos": 1}]
    assert told["events"] == [1, 2]
    assert told["last"]["tipo"] == "completo"


async def test_a_refusal_names_the_field_and_is_not_repeated(console: Console) -> None:
    empty = problem(422, "Campo inválido", "está vazio", campo="identificador")
    script = [{"status": 422, "body": json.dumps(empty)}]
    told = await _play(console, script, {"body": {"identificador": ""}})
    assert told["last"]["name"] == "Problem"
    refused = told["last"]["problem"]
    assert (refused["status"], refused["field"], refused["detail"]) == (
        422, "identificador", "está vazio",
    )  # fmt: skip
    assert len(told["asked"]) == 1


async def test_a_lookup_that_is_gone_is_not_asked_for_again(console: Console) -> None:
    gone = problem(404, "Não encontrado", "não há consulta com este task_id")
    script = [
        {"headers": WHERE, "body": "retry: 1\n\n" + _event(1, "iniciado"), "broken": True},
        {"status": 404, "body": json.dumps(gone)},
    ]
    told = await _play(console, script, {"body": {"identificador": "01001-000"}})
    assert told["last"]["problem"]["status"] == 404
    assert len(told["asked"]) == 2


async def test_a_silent_connection_counts_as_lost(console: Console) -> None:
    silent = """async (task) => {
        const { follow } = await import("/static/lookup-stream.js");
        const honest = globalThis.fetch;
        let asked = 0;
        globalThis.fetch = async () => {
            asked += 1;
            if (asked > 1) return new Response(null, { status: 204 });
            const bytes = new TextEncoder().encode("retry: 1\\n");
            const start = (controller) => controller.enqueue(bytes);
            return new Response(new ReadableStream({ start }));
        };
        await follow(task, { silenceMs: 20 }).finally(() => (globalThis.fetch = honest));
        return asked;
    }"""
    assert await console.page.evaluate(silent, TASK) == 2


async def test_aborting_ends_the_streaming_with_the_reason(console: Console) -> None:
    aborted = """async (task) => {
        const { follow } = await import("/static/lookup-stream.js");
        const honest = globalThis.fetch;
        globalThis.fetch = async () => { throw new TypeError("network"); };
        const ending = new AbortController();
        const onState = (state) => state === "reconectando" && ending.abort(new Error("bye"));
        const made = follow(task, { signal: ending.signal, onState });
        return made.catch((error) => error.message).finally(() => (globalThis.fetch = honest));
    }"""
    assert await console.page.evaluate(aborted, TASK) == "bye"
