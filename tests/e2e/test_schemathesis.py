"""Schemathesis against the running gateway: whatever it sends, the answer is one that is described.

It is bounded and always sends the same. Its checks are all on but those named below.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, load_all_checks

from deploy.local.ports import free_port
from gateway.operation import NDJSON
from shared.keys import SCOPES, add
from tests.services import Services
from tests.specification import as_sent, openapi_document, operations

EXAMPLES: Final = 20
LABELS: Final = [f"{method} {path}" for path, method, _ in operations()]
MODES: Final = schemathesis.GenerationMode
# A schema cannot say that check digits have to be right, nor that a name has to exist.
UNDESCRIBABLE: Final = {"positive_data_acceptance"}
# Each item of a list has an answer of its own, a bad one too: the list itself is taken.
ITEM_BY_ITEM: Final = {"negative_data_rejection"}
VALID: Final = (
    ("cpf", "111.444.777-35"),
    ("cnpj", "11222333000181"),
    ("cep", "01001-000"),
    ("telefone", "+5511987654321"),
)

load_all_checks()


@schemathesis.serializer(NDJSON)
def lines(_: Any, value: Any) -> Any:
    """Text goes as it is."""
    return value.encode() if isinstance(value, str) else str(value).encode()


@pytest.fixture(scope="module")
def gateway(
    services: Services, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    """A gateway that asks for keys, providers that answer at once, and a key for everything."""
    control, quick = f"{services.simulator}/_control", {"latency_ms": 1, "jitter_ms": 0}
    for provider in requests.get(control, timeout=10).json():
        requests.put(f"{control}/{provider}", json=quick, timeout=10)
    file, port = tmp_path_factory.mktemp("keys") / "keys.json", free_port()
    key = add(file, "acme", list(SCOPES), "off", 1_000_000, 10)
    services.start("gateway.2", GATEWAY_PORT=str(port), API_KEYS_FILE=str(file))
    yield f"http://127.0.0.1:{port}", {"Authorization": f"Bearer {key}"}
    services.kill("gateway.2")


@pytest.fixture(scope="module")
def names(gateway: tuple[str, dict[str, str]]) -> dict[str, list[str]]:
    """Names that exist, since none is ever guessed."""
    url, headers = gateway
    tasks = []
    for delay in (0, 86400):
        body: Any = {"identificador": "01001-000", "tipo": "cep", "atraso": delay}
        answer = requests.post(f"{url}/api/consultas", json=body, headers=headers, timeout=10)
        tasks.append(answer.json()["task_id"])
    return {"task_id": tasks, "nome": ["telegram_api", "opencep", "verificacao_saude"]}


@pytest.mark.parametrize("mode", list(MODES), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", LABELS)
def test_no_answer_is_outside_the_specification(
    gateway: tuple[str, dict[str, str]],
    names: dict[str, list[str]],
    label: str,
    mode: schemathesis.GenerationMode,
) -> None:
    url, headers = gateway
    method, path = label.split()
    operation = schemathesis.openapi.from_dict(as_sent(openapi_document()))[path][method]
    off = UNDESCRIBABLE | (ITEM_BY_ITEM if path.endswith("/lote") else set())
    excluded: Any = CHECKS.get_by_names(sorted(off))

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def send(case: schemathesis.Case[Any], data: st.DataObject) -> None:
        for name, known in names.items():
            if name in case.path_parameters and data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(known))
        if isinstance(case.body, dict) and mode is MODES.POSITIVE:
            _mend(case.body, data, streams=path.endswith("stream"))
        answer = case.call(base_url=url, headers=headers, timeout=30)
        case.validate_response(answer, excluded_checks=excluded, headers=headers)

    send()


def _mend(body: dict[str, Any], data: st.DataObject, *, streams: bool) -> None:
    """Have some lookups begin, and streams end: a stream is open for as long as its lookup."""
    if "identificador" in body and data.draw(st.booleans()):
        body["tipo"], body["identificador"] = data.draw(st.sampled_from(VALID))
    if streams and isinstance(body.get("atraso"), int | float):
        del body["atraso"]
    if streams and isinstance(body.get("prazo"), int | float):
        body["prazo"] = min(body["prazo"], 2)
