"""`python -m enricher.simulator`: the simulator on SIMULATOR_HOST and SIMULATOR_PORT."""

import sys
from dataclasses import dataclass

from aiohttp import web

from enricher.simulator.app import build
from shared.errors import InvalidSetting
from shared.settings import load, port, setting


@dataclass(frozen=True)
class Settings:
    """Where it listens. It is open to anybody who can reach it, so on loopback by default."""

    simulator_host: str = setting(str, "127.0.0.1")
    simulator_port: int = setting(port, "8090")


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    try:
        settings = load(Settings)
    except InvalidSetting as error:
        sys.exit(f"consulta: {error}")
    try:
        web.run_app(
            build(),
            host=settings.simulator_host,
            port=settings.simulator_port,
            access_log=None,
            print=None,
            # A hanging call ends with its client.
            handler_cancellation=True,
            shutdown_timeout=1,
            backlog=1024,
        )
    except OSError as error:
        sys.exit(f"consulta: SIMULATOR_PORT: {error.strerror}; set a free port")


if __name__ == "__main__":
    main()
