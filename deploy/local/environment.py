"""The environment the services run with: what is set stays, the rest gets a local value."""

import os
import secrets
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from honcho.environ import parse

from deploy.local.ports import free_port, is_free
from deploy.local.private_files import kept_secret, write_private
from deploy.local.servers import Urls
from enricher.providers import registry

# Of the services of the Procfile.
OPS_PORTS = {
    "gateway": "GATEWAY_OPS_PORT",
    "cache_service": "CACHE_SERVICE_OPS_PORT",
    # The first stage it names.
    "enricher": "ENRICHER_TELEGRAM_OPS_PORT",
    "analyzer": "ANALYZER_OPS_PORT",
}
# What opens a simulated provider. Of the form Serpro asks for; to the others it is as good as any.
_KEY = "simulator:simulator"


@dataclass(frozen=True)
class Local:
    """The services' environment, and where to find them with it."""

    env: dict[str, str]

    @property
    def gateway(self) -> str:
        """Address of the gateway, as a browser on this machine reaches it."""
        host = self.env.get("GATEWAY_HOST", "127.0.0.1")
        host = "127.0.0.1" if host in {"", "0.0.0.0", "::"} else host  # noqa: S104 - compared only
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.env['GATEWAY_PORT']}"

    @property
    def ready(self) -> dict[str, str]:
        """An address per service that answers 200 once it is ready."""
        ops = {
            name: f"http://127.0.0.1:{self.env[variable]}/ready"
            for name, variable in OPS_PORTS.items()
        }
        simulator = f"http://127.0.0.1:{self.env['SIMULATOR_PORT']}/_control/log"
        return ops | {"simulator": simulator}


def settings(dotenv: Path) -> dict[str, str]:
    """This process's environment, over the file ``.env`` where there is one."""
    written: dict[str, str] = parse(dotenv.read_text()) if dotenv.exists() else {}
    return {name: value for name, value in (written | os.environ).items() if value}


def for_run(given: Mapping[str, str], urls: Urls, folder: Path) -> Local:
    """Settings to work with: ports and cache secret are the same again next time.

    Also writes ``folder/env``, for the shells and services of one's own that join in.
    """
    env = _common(given, urls)
    env.setdefault("GATEWAY_PORT", str(_from(8080)))
    env.setdefault("SIMULATOR_PORT", str(_from(8090)))
    env.setdefault("CACHE_SECRET", kept_secret(folder / "cache_secret"))
    _complete(env)
    # Where `python -m consulta` finds it, from a shell that joins in.
    env.setdefault("CONSULTA_URL", Local(env).gateway)
    ours = sorted(name for name in env if name not in os.environ)
    lines = [f"export {name}={shlex.quote(env[name])}" for name in ours if name != "PATH"]
    write_private(folder / "env", "\n".join([*lines, ""]))
    return Local(env)


def for_demo(given: Mapping[str, str], urls: Urls) -> Local:
    """Settings of one demonstration, beside whatever else runs: every port a free one.

    The cache secret is a fresh one, so that even in a shared Redis the first lookup is a miss.
    """
    env = _common(given, urls)
    for variable in ("GATEWAY_PORT", "SIMULATOR_PORT", *OPS_PORTS.values()):
        env[variable] = str(free_port())
    env["GATEWAY_HOST"] = "127.0.0.1"
    env["CACHE_SECRET"] = secrets.token_hex(24)
    _complete(env)
    return Local(env)


def _common(given: Mapping[str, str], urls: Urls) -> dict[str, str]:
    beside = str(Path(sys.executable).parent)
    return dict(given) | {
        "AMQP_URL": urls.amqp,
        "REDIS_URL": urls.redis,
        "PYTHONUNBUFFERED": "1",
        # The Procfile says `python`: the one that runs this.
        "PATH": os.pathsep.join([beside, given.get("PATH", os.defpath)]),
    }


def _complete(env: dict[str, str]) -> None:
    for variable in OPS_PORTS.values():
        env.setdefault(variable, str(free_port()))
    for name, provider in registry.found(registry.modules()).items():
        # One with neither makes no call, or none before somebody says to whom.
        if provider.url or provider.needs_key:
            _simulate(env, name, needs_key=provider.needs_key)


def _simulate(env: dict[str, str], provider: str, *, needs_key: bool) -> None:
    """Lead a provider to the simulator, unless its own address is given."""
    prefix = f"PROVIDER_{provider.upper()}"
    simulated = f"http://127.0.0.1:{env['SIMULATOR_PORT']}/{provider}"
    url = env.setdefault(f"{prefix}_URL", simulated)
    if needs_key and url == simulated and f"{prefix}_KEY_FILE" not in env:
        env.setdefault(f"{prefix}_KEY", _KEY)


def _from(port: int) -> int:
    """``port``, or the next free one above it."""
    ports: Iterable[int] = range(port, port + 100)
    return next((each for each in ports if is_free(each)), None) or free_port()
