"""The demo, `make run` and the tests call no real provider, however many there come to be."""

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from aiohttp import ClientSession
from honcho.environ import parse

from deploy.local.environment import for_demo, for_run
from deploy.local.servers import Urls
from enricher.providers import registry
from enricher.providers.base import Answer, Provider, Query
from enricher.simulator.app import build as build_simulator
from tests.services import Services

SIMULATOR_ENV = Path(__file__).resolve().parents[2] / "deploy" / "simulator.env"
URLS = Urls("amqp://stand-in", "redis://stand-in")


class Newcomer(Provider):
    name = "newcomer"
    url = "https://api.newcomer.example"
    needs_key = True
    serves: ClassVar = {("cadastro", "cpf"): 20}

    async def fetch(self, query: Query) -> Answer:
        raise NotImplementedError


@pytest.fixture
def newcomer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that was added to the folder just now."""
    Newcomer.__module__ = "enricher.providers.newcomer"
    module, known = ModuleType(Newcomer.__module__), registry.modules()
    module.__dict__["Newcomer"] = Newcomer
    monkeypatch.setitem(sys.modules, Newcomer.__module__, module)
    monkeypatch.setattr(registry, "modules", lambda: [*known, module])


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


def _demo(_: Path) -> Mapping[str, str]:
    return for_demo({}, URLS).env


def _run(folder: Path) -> Mapping[str, str]:
    return for_run({}, URLS, folder).env


def _tests(folder: Path) -> Mapping[str, str]:
    class NoArena:
        amqp_url, redis_url = URLS

    return Services(NoArena(), folder).env  # type: ignore[arg-type]


def _simulator_env(_: Path) -> Mapping[str, str]:
    return {str(name): str(value) for name, value in parse(SIMULATOR_ENV.read_text()).items()}


@pytest.mark.parametrize("environment", [_demo, _run, _tests])
async def test_no_address_on_the_internet_is_left(
    newcomer: None, http: ClientSession, tmp_path: Path,
    environment: Callable[[Path], Mapping[str, str]],
) -> None:  # fmt: skip
    env = environment(tmp_path)
    providers = registry.build(env, http)
    assert "newcomer" in providers
    addresses = {name: one.address for name, one in providers.items() if one.address}
    simulator = f"http://127.0.0.1:{env['SIMULATOR_PORT']}"
    assert addresses == {name: f"{simulator}/{name}" for name in addresses}
    assert addresses.keys() == providers.keys() - {"phonenumbers"}
    assert all(provider.is_configured for provider in providers.values())


def test_what_is_given_stays(newcomer: None) -> None:
    given = {
        "PROVIDER_NEWCOMER_URL": "https://api.newcomer.example/v2",
        "PROVIDER_SERPRO_KEY_FILE": "/run/secrets/serpro",
    }
    env = for_demo(given, URLS).env
    assert given.items() <= env.items()
    assert "PROVIDER_NEWCOMER_KEY" not in env
    assert "PROVIDER_SERPRO_KEY" not in env


async def test_the_file_for_compose_leads_every_provider_to_the_simulator(
    http: ClientSession, tmp_path: Path
) -> None:
    env = dict(_simulator_env(tmp_path))
    assert env.pop("COMPOSE_PROFILES") == "simulator"
    local = for_demo({}, URLS).env
    address = f"http://127.0.0.1:{local['SIMULATOR_PORT']}/"
    moved = {name: value.replace("http://127.0.0.1:8090/", address) for name, value in env.items()}
    assert moved == {name: value for name, value in local.items() if name.startswith("PROVIDER_")}
    assert all(provider.is_configured for provider in registry.build(env, http).values())


def test_every_provider_that_is_called_is_simulated() -> None:
    app = build_simulator()
    folders = {resource.canonical.split("/")[1] for resource in app.router.resources()}
    for name, provider in registry.found(registry.modules()).items():
        if provider.url or provider.needs_key:
            assert name in folders
