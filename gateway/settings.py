"""Settings of the gateway."""

from dataclasses import dataclass

from shared.orders import Rates
from shared.settings import Common, port, setting


@dataclass(frozen=True)
class Settings(Rates, Common):
    """Where it listens, beside what every service is told."""

    gateway_host: str = setting(str, "127.0.0.1")
    gateway_port: int = setting(port, "8080")
    gateway_ops_port: int = setting(port, "9101")
