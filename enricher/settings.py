"""Settings of an enricher."""

from dataclasses import dataclass

from shared.service.settings import Service
from shared.settings import flag, positive, setting


@dataclass(frozen=True)
class Settings(Service):
    """What every service is told, the limits, and how much one process takes on.

    The ops port is the stage's own: `ENRICHER_<STAGE>_OPS_PORT`.
    """

    # Mostly waiting for providers, so far more than there are cores.
    enricher_concurrency: int = setting(positive, "200")
    # Whether the next provider is asked too when the first is slower than usual.
    hedging: bool = setting(flag, "off")


OPS_PORTS = {"telegram": "9103", "endereco": "9104", "telefone": "9105", "cadastro": "9106"}
