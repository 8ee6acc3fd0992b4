"""What the browser's tests play to the page in the gateway's place is held against the contract."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser import played
from tests.browser.played import FOLLOW, TASK, check, frame, problem, reset

FOLDER = Path(played.__file__).parent
STARTED = {"tipo": "iniciado", "seq": 1, "dados": {"tipo": "cep", "etapas": ["endereco"]}}


def test_no_test_of_the_browser_plays_an_answer_that_nobody_checked() -> None:
    # The console's policy is put onto the real answer.
    players = {path.name for path in FOLDER.glob("*.py") if ".fulfill(" in path.read_text()}
    assert players == {"console.py", "played.py"}


def test_what_the_gateway_may_say_can_be_played() -> None:
    whole = frame(reset("STARTED", 2)) + frame(STARTED)
    assert check(FOLLOW, 200, f"retry: 1\n\n{whole}id: 2\ndata: {{") == "text/event-stream"
    away = problem(503, "Temporariamente indisponível", "a fila não responde")
    assert check(FOLLOW, 503, json.dumps(away)) == "application/problem+json"


@pytest.mark.parametrize(
    "told",
    [
        {"dados": {"status": "STARTED"}},
        {"dados": {"status": "STARTED", "eventos": [STARTED]}},
        {**STARTED, "situacao": "talvez"},
        {**STARTED, "provedor": "opencep"},
        {"tipo": "completo", "seq": 2, "dados": {"etapas": {}, "analise": None}},
        {"tipo": "error", "seq": 2, "dados": {"codigo": "azar", "mensagem": "…"}},
    ],
)
def test_what_it_never_says_cannot(told: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        check(FOLLOW, 200, frame({"task_id": TASK, **told} if "tipo" in told else told))
