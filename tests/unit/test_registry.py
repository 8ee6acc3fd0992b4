"""Which providers there are, from where their settings come, and who is asked first."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from aiohttp import ClientSession

from enricher.providers.base import Answer, Provider, Query
from enricher.providers.registry import build, chain, found, modules
from shared.errors import InvalidSetting
from shared.identifiers import Kind
from shared.messages import Stage
from shared.stages import POSSIBLE

ALL = {
    "telegram",
    "bridge_endereco",
    "bridge_telefone",
    "serpro",
    "minhareceita",
    "opencnpj",
    "brasilapi",
    "opencep",
    "viacep",
    "phonenumbers",
}
BRIDGES = ["telegram", "bridge_endereco", "bridge_telefone"]


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


def test_a_provider_is_found_by_being_in_the_folder() -> None:
    assert set(found(modules())) == ALL


def test_public_providers_are_on_and_contracted_ones_off_until_configured(
    http: ClientSession,
) -> None:
    on = {name for name, provider in build({}, http).items() if provider.is_configured}
    assert on == {"minhareceita", "opencnpj", "brasilapi", "opencep", "viacep", "phonenumbers"}


@pytest.mark.parametrize("name", [*BRIDGES, "serpro"])
def test_a_contracted_provider_takes_an_address_and_a_key(http: ClientSession, name: str) -> None:
    prefix = f"PROVIDER_{name.upper()}"
    only_address = {f"{prefix}_URL": "https://contratada.example/v1/"}
    assert not build(only_address, http)[name].is_configured
    assert build({**only_address, f"{prefix}_KEY": "chave:segredo"}, http)[name].is_configured


def test_a_key_may_stand_in_a_file(http: ClientSession, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("chave\n")
    environ = {
        "PROVIDER_TELEGRAM_URL": "https://contratada.example",
        "PROVIDER_TELEGRAM_KEY_FILE": str(file),
    }
    assert build(environ, http)["telegram"].is_configured


def test_a_public_provider_can_be_switched_off(http: ClientSession) -> None:
    assert not build({"PROVIDER_VIACEP_URL": "off"}, http)["viacep"].is_configured


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PROVIDER_VIACEP_URL", "viacep.com.br"),
        ("PROVIDER_VIACEP_URL", "ftp://viacep.com.br"),
        ("PROVIDER_VIACEP_URL", "https://"),
        ("PROVIDER_VIACEP_URL", "http://[::1"),
        ("PROVIDER_TELEGRAM_KEY", "chave\nX-Outra: 1"),
        ("PROVIDER_TELEGRAM_KEY", "chavé"),
        ("PROVIDER_TELEGRAM_KEY_FILE", "/nowhere/key"),
        ("PROVIDER_SERPRO_KEY", "half"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_a_key_is_not_shown(
    http: ClientSession, variable: str, value: str
) -> None:
    with pytest.raises(InvalidSetting, match=f"^{variable}: ") as caught:
        build({variable: value}, http)
    assert "_URL" in variable or value not in str(caught.value)


@pytest.mark.parametrize("name", [*BRIDGES, "serpro"])
def test_keys_and_personal_data_never_leave_the_machine_in_the_clear(
    http: ClientSession, name: str
) -> None:
    variable = f"PROVIDER_{name.upper()}_URL"
    for local in ("http://127.0.0.1:8090/x", "http://localhost/x", "http://[::1]:8090"):
        build({variable: local}, http)
    with pytest.raises(InvalidSetting, match=f"^{variable}: http://"):
        build({variable: "http://contratada.example"}, http)


@pytest.mark.parametrize(
    ("stage", "kind", "names"),
    [
        ("cadastro", "cnpj", ["minhareceita", "opencnpj", "brasilapi"]),
        ("cadastro", "cpf", ["serpro"]),
        ("endereco", "cep", ["opencep", "viacep", "brasilapi"]),
        ("endereco", "cpf", ["bridge_endereco"]),
        ("telefone", "telefone", ["phonenumbers"]),
        ("telefone", "cpf", ["bridge_telefone"]),
        ("telegram", "cpf", ["telegram"]),
        ("telegram", "cnpj", []),
    ],
)
def test_a_stage_asks_its_providers_in_their_order(
    http: ClientSession, stage: Stage, kind: Kind, names: list[str]
) -> None:
    assert [provider.name for provider in chain(build({}, http), stage, kind)] == names


def test_every_stage_of_every_kind_has_somebody_to_ask(http: ClientSession) -> None:
    providers = build({}, http)
    # A company's address and phones are looked up by its cep and its numbers.
    derived: set[tuple[Kind, Stage]] = {("cnpj", "endereco"), ("cnpj", "telefone")}
    for kind in get_args(Kind):
        for stage in POSSIBLE[kind]:
            assert (kind, stage) in derived or chain(providers, stage, kind)


def test_only_telegram_has_a_circuit_of_another_name(http: ClientSession) -> None:
    circuits = {name: provider.circuit for name, provider in build({}, http).items()}
    assert {name: circuit for name, circuit in circuits.items() if circuit} == {
        "telegram": "telegram_api"
    }


def test_two_providers_of_one_name_are_an_error_that_names_both() -> None:
    class Twin(Provider):
        name = "viacep"

        async def fetch(self, query: Query) -> Answer:
            raise NotImplementedError

    module = ModuleType(Twin.__module__)
    module.__dict__["Twin"] = Twin
    with pytest.raises(
        ValueError, match=r"Twin and enricher\.providers\.viacep\.ViaCEP .*'viacep'"
    ):
        found([*modules(), module])
