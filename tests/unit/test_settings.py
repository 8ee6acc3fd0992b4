"""The secret of the installation: what a service accepts as one, and where it needs one."""

from collections.abc import Callable
from pathlib import Path

import pytest

import analyzer.settings
import cache_service.settings
import enricher.settings
import gateway.settings
from deploy.local.environment import for_demo, for_run
from deploy.local.servers import Urls
from shared.errors import InvalidSetting
from shared.settings import Common, load, read, secret

SERVICES = (
    analyzer.settings.Settings,
    cache_service.settings.Settings,
    enricher.settings.Settings,
    gateway.settings.Settings,
)
LONG = "0123456789abcdef0123456789abcdef"
BEYOND = {
    "OPS_HOST": "0.0.0.0",
    "AMQP_URL": "amqps://user:hidden@broker.example:5671/",
    "REDIS_URL": "rediss://:hidden@10.0.0.4:6379/0",
}
every_service = pytest.mark.parametrize("service", SERVICES, ids=lambda of: of.__module__)


@every_service
@pytest.mark.parametrize("variable", BEYOND)
@pytest.mark.parametrize("given", ["", "only-for-one-machine", LONG[1:], "ç" * 15])
def test_beyond_this_machine_no_service_starts_without_a_long_secret(
    service: type[Common], variable: str, given: str
) -> None:
    env = {variable: BEYOND[variable], "CACHE_SECRET": given}
    with pytest.raises(InvalidSetting) as caught:
        load(service, env)
    line = str(caught.value)
    assert line.startswith("CACHE_SECRET: ")
    assert variable in line
    assert "32 bytes" in line
    assert "set " in line
    assert "\n" not in line
    assert "hidden" not in line
    if given and given != "only-for-one-machine":
        assert given not in line


@every_service
@pytest.mark.parametrize("variable", BEYOND)
@pytest.mark.parametrize("given", [LONG, "ç" * 16])
def test_with_a_long_one_it_does(service: type[Common], variable: str, given: str) -> None:
    settings = load(service, {variable: BEYOND[variable], "CACHE_SECRET": given})
    assert settings.cache_secret.reveal() == given


def test_an_address_of_the_gateway_itself_is_beyond_too(tmp_path: Path) -> None:
    env = {"GATEWAY_HOST": "0.0.0.0", "API_KEYS_FILE": str(tmp_path / "keys.json")}
    with pytest.raises(InvalidSetting, match=r"^CACHE_SECRET: .*GATEWAY_HOST"):
        load(gateway.settings.Settings, env)
    load(gateway.settings.Settings, {**env, "CACHE_SECRET": LONG})


@every_service
@pytest.mark.parametrize(
    "env",
    [
        {},
        {"CACHE_SECRET": "short"},
        {"REDIS_URL": "unix:///run/redis.sock?db=1", "AMQP_URL": "amqp://a:b@[::1]/"},
        {"REDIS_URL": "unix://user@/run/redis.sock", "AMQP_URL": "amqp://localhost/"},
    ],
)
def test_on_this_machine_a_process_started_by_hand_needs_none(
    service: type[Common], env: dict[str, str]
) -> None:
    assert load(service, env).cache_secret


@pytest.mark.parametrize("address", ["unix://", "redis:///0", "redis://[::1/0", "http://x/"])
def test_an_address_of_a_store_that_is_none_is_refused_by_name(address: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^REDIS_URL: .*give a URL like redis://"):
        load(Common, {"REDIS_URL": address})


def _is_empty(file: Path) -> None:
    file.write_text("")


def _is_blank(file: Path) -> None:
    file.write_text(" \n\t\n")


def _is_no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe secret")


def _is_gone(file: Path) -> None:
    file.unlink(missing_ok=True)


@pytest.mark.parametrize("spoil", [_is_empty, _is_blank, _is_no_text, _is_gone])
@pytest.mark.parametrize("name", ["CACHE_SECRET", "PROVIDER_SERPRO_KEY"])
def test_a_file_without_a_secret_in_it_is_refused_by_name(
    tmp_path: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    file = tmp_path / "secret"
    spoil(file)
    with pytest.raises(InvalidSetting) as caught:
        read({f"{name}_FILE": str(file), name: LONG}, name, secret, "default")
    assert str(caught.value).startswith(f"{name}_FILE: ")
    assert "; " in str(caught.value)
    assert "secret cannot" not in str(caught.value)


def test_a_secret_that_is_no_text_is_refused_by_name() -> None:
    with pytest.raises(InvalidSetting, match=r"^CACHE_SECRET: the value .*UTF-8"):
        load(Common, {"CACHE_SECRET": "\udcff" * 40})


def test_what_is_made_for_local_use_is_long_enough_for_other_machines_too(tmp_path: Path) -> None:
    urls = Urls("amqp://127.0.0.1/", "redis://127.0.0.1/")
    (tmp_path / "cache_secret").write_text("")  # of a run that died while it wrote it
    for env in (for_run({}, urls, tmp_path).env, for_demo({}, urls).env):
        settings = load(Common, {**env, "OPS_HOST": "0.0.0.0"})
        assert len(settings.cache_secret.reveal()) >= 32
    again = for_run({}, urls, tmp_path).env
    assert again["CACHE_SECRET"] == (tmp_path / "cache_secret").read_text()


def test_a_gateway_with_keys_is_for_others_and_needs_a_secret_of_its_own() -> None:
    with pytest.raises(InvalidSetting, match="CACHE_SECRET: not set, and API_KEYS_FILE"):
        load(gateway.settings.Settings, {"API_KEYS_FILE": "keys.json"})
    load(gateway.settings.Settings, {"API_KEYS_FILE": "keys.json", "CACHE_SECRET": LONG})


@pytest.mark.parametrize("url", ["guest:s3cret@rabbit:5672", "amqp:/guest:s3cret@rabbit"])
def test_what_was_meant_as_a_url_is_not_shown_either(url: str) -> None:
    with pytest.raises(InvalidSetting) as error:
        load(Common, {"AMQP_URL": url})
    assert "s3cret" not in str(error.value)
