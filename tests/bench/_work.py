"""The work of a cpf lookup without our services, for those we are measured against."""

from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import msgspec

from analyzer.merge import analyze
from shared.messages import Event, now
from shared.stages import DEFAULT

STAGES: Final = DEFAULT["cpf"]
HEADERS: Final = {"Authorization": "Bearer simulator"}


def url(simulator: str, stage: str) -> str:
    """Where the simulated provider of a stage answers."""
    name = stage if stage == "telegram" else f"bridge_{stage}"
    return f"{simulator}/{name}/lookup"


def question(stage: str, cpf: str) -> dict[str, str]:
    """What it is asked."""
    return {"kind": "cpf", "stage": stage, "value": cpf}


async def asked(http: aiohttp.ClientSession, simulator: str, stage: str, cpf: str) -> Any:
    """Its answer."""
    where, what = url(simulator, stage), question(stage, cpf)
    async with http.post(where, json=what, headers=HEADERS) as answer:
        assert answer.status == 200, answer.status
        return msgspec.json.decode(await answer.read())


def outcome(stage: str, answer: Any) -> dict[str, Any]:
    """What a task hands to the analysis: the answer as the event that our services make of it."""
    data = answer["data"]
    if stage == "telefone":
        data = {"numeros": [{"numero": number} for number in data["numeros"]]}
    return {"tipo": stage, "timestamp": now(), "situacao": "ok", "origem": stage, "dados": data}


def merged(outcomes: list[dict[str, Any]]) -> Any:
    """The same analysis as ours, as JSON can carry it."""
    events = msgspec.convert(outcomes, list[Event])
    return msgspec.to_builtins(analyze("cpf", events, today=datetime.now(UTC).date()))
