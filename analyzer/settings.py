"""Settings of the analyzer."""

from dataclasses import dataclass

from shared.service.settings import Service
from shared.settings import port, setting


@dataclass(frozen=True)
class Settings(Service):
    """What every service is told, and the limits of the queues."""

    analyzer_ops_port: int = setting(port, "9107")
