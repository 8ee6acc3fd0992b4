"""Settings of the analyzer."""

from dataclasses import dataclass

from shared.orders import Rates
from shared.settings import Common, port, setting


@dataclass(frozen=True)
class Settings(Rates, Common):
    """What every service is told, and the limits of the queues."""

    analyzer_ops_port: int = setting(port, "9107")
