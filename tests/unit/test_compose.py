"""`deploy/compose.yaml`, as far as it can be tried without an engine: what it tells each service.

Its variables are filled in as compose does it, from `.env.example` with what that asks to be filled
in; then each service's settings are read from the environment of its container.
"""

import re
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from aiohttp import ClientSession

import analyzer.settings
import cache_service.settings
import enricher.settings
import gateway.settings
from deploy.local.environment import OPS_PORTS
from enricher.providers import registry
from shared.errors import InvalidSetting
from shared.keys import Keys, add
from shared.messages import STAGES
from shared.settings import Common, load, port, read

ROOT: Final = Path(__file__).resolve().parents[2]
COMPOSE: Final = ROOT / "deploy" / "compose.yaml"
SETTINGS: Final[dict[str, type[Common]]] = {
    "gateway": gateway.settings.Settings,
    "cache_service": cache_service.settings.Settings,
    **dict.fromkeys(STAGES, enricher.settings.Settings),
    "analyzer": analyzer.settings.Settings,
}
# A container has one gateway, so none to share its port with.
POINTLESS: Final = {"GATEWAY_SHARE_PORT"}
# What the file itself decides, whatever the environment says.
FIXED: Final = {
    "AMQP_URL", "REDIS_URL", "GATEWAY_HOST", "GATEWAY_PORT", "API_KEYS_FILE", "OPS_HOST",
    *OPS_PORTS.values(), *map(enricher.settings.ops_variable, STAGES),
}  # fmt: skip
FILLED: Final = {
    "RABBITMQ_PASSWORD": "rabbit", "REDIS_PASSWORD": "hare", "CACHE_SECRET": secrets.token_hex(32),
}  # fmt: skip
# ${NAME}, ${NAME:-default}, ${NAME:?error}; $$ is a $.
REFERENCE: Final = re.compile(r"\$(?:\$|{(?P<name>\w+)(?::(?P<how>[-?])(?P<rest>[^}]*))?})")


def environment(*files: str, **more: str) -> dict[str, str]:
    """What `--env-file` gives, the later file before the earlier one."""
    lines = [line for file in files for line in (ROOT / file).read_text().splitlines()]
    named = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    return dict(named) | more


def interpolated(text: str, environ: Mapping[str, str]) -> str:
    """A text of the file as compose reads it; empty counts as not set."""

    def value(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        given = environ.get(match["name"], "")
        assert given or match["how"] != "?", f"{match['name']}: {match['rest']}"
        return given or (match["rest"] or "" if match["how"] == "-" else "")

    return REFERENCE.sub(value, text)


@cache
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def told(service: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a service's container."""
    return {
        name: interpolated(value, environ)
        for name, value in services()[service]["environment"].items()
    }


def variables(of: type[Common]) -> set[str]:
    return {entry.metadata["from"][2] or entry.name.upper() for entry in fields(of)}


def of_providers() -> set[str]:
    """What can be said of every provider that is called, and of what opens it."""
    names: set[str] = set()
    for name, provider in registry.found(registry.modules()).items():
        if provider.url or provider.needs_key:
            names |= {f"PROVIDER_{name.upper()}_{what}" for what in ("URL", "RATE")}
        if provider.needs_key:
            names |= {f"PROVIDER_{name.upper()}_{what}" for what in ("KEY", "KEY_FILE")}
    return names


def references(texts: Iterable[str]) -> set[str]:
    return {match["name"] for text in texts for match in REFERENCE.finditer(text)} - {None}


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


def outside(path: Path, root: Path) -> Path:
    """Where a file of the gateway's container is on a host whose repository is at `root`."""
    volume: str
    [volume] = services()["gateway"]["volumes"]
    source, target, mode = volume.split(":")
    # A folder: a file would be mounted as it is now, and keys are added and revoked by a new one.
    assert mode == "ro"
    return (root / "deploy" / source / path.relative_to(target)).resolve()


@pytest.mark.parametrize("service", SETTINGS)
def test_every_service_accepts_what_it_is_told(service: str, tmp_path: Path) -> None:
    environ = told(service, environment(".env.example", **FILLED))
    settings = load(SETTINGS[service], environ)
    assert settings.cache_secret.reveal() == FILLED["CACHE_SECRET"]
    if isinstance(settings, gateway.settings.Settings):
        assert settings.gateway_host == "0.0.0.0"
        assert settings.api_keys_file is not None
        keys = outside(settings.api_keys_file, tmp_path)
        assert keys == tmp_path / "secrets" / "gateway" / "keys.json"
        keys.parent.mkdir(parents=True)
        add(keys, "acme", ["consultar"], "off", 1)
        assert Keys(keys).all()
    if isinstance(settings, enricher.settings.Settings):
        # Whichever its command names first, alone or with others.
        assert {enricher.settings.ops_port(environ, stage) for stage in STAGES} == {9100}
    else:
        assert read(environ, f"{service.upper()}_OPS_PORT", port, "0") == 9100


@pytest.mark.parametrize("service", SETTINGS)
def test_every_setting_reaches_its_service(service: str) -> None:
    wanted = variables(SETTINGS[service]) - POINTLESS
    assert wanted <= services()[service]["environment"].keys()


@pytest.mark.parametrize("service", SETTINGS)
def test_a_value_that_is_set_is_the_one_that_is_told(service: str) -> None:
    known = (variables(SETTINGS[service]) | of_providers()) - POINTLESS - FIXED
    given = {name: f"value-of-{name}" for name in known} | FILLED
    found = told(service, given)
    assert {name: found[name] for name in known & found.keys()} == {
        name: given[name] for name in known & found.keys()
    }


@pytest.mark.parametrize("service", STAGES)
def test_what_is_said_of_a_provider_reaches_the_enrichers(service: str) -> None:
    environ = services()[service]["environment"]
    assert {name for name in environ if name.startswith("PROVIDER_")} == of_providers()


@pytest.mark.parametrize("service", STAGES)
async def test_the_simulated_providers_are_accepted(service: str, http: ClientSession) -> None:
    environ = told(service, environment(".env.example", "deploy/simulator.env", **FILLED))
    for provider in registry.build(environ, http).values():
        assert provider.is_configured
        assert not provider.address or provider.address.startswith("http://127.0.0.1:8090/")


def test_without_its_secrets_nothing_starts() -> None:
    for missing in FILLED:
        with pytest.raises(AssertionError, match=missing):
            told("gateway", environment(".env.example", **{**FILLED, missing: ""}))


def test_the_gateway_would_not_listen_without_keys() -> None:
    environ = told("gateway", environment(".env.example", **FILLED)) | {"API_KEYS_FILE": ""}
    with pytest.raises(InvalidSetting, match="API_KEYS_FILE"):
        load(gateway.settings.Settings, environ)


def test_the_example_names_whatever_the_file_takes_and_every_provider() -> None:
    named = set(environment(".env.example"))
    assert references([COMPOSE.read_text()]) <= named
    assert {name for name in named if name.startswith("PROVIDER_")} == of_providers()
