"""Settings of an enricher."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.messages import Stage
from shared.service.settings import Service
from shared.settings import flag, port, positive, read, setting

_OPS_PORTS: Final[dict[Stage, str]] = {
    "telegram": "9103", "endereco": "9104", "telefone": "9105", "cadastro": "9106",
}  # fmt: skip


@dataclass(frozen=True)
class Settings(Service):
    """What every service is told, the limits, and how much one process takes on.

    The ops port is that of the first stage the process was told to do: see `ops_port`.
    """

    # Of one stage. Mostly waiting for providers, so far more than there are cores.
    enricher_concurrency: int = setting(positive, "200")
    # Whether the next provider is asked too when the first is slower than usual.
    hedging: bool = setting(flag, "off")


def ops_variable(stage: Stage) -> str:
    """What sets the ops port of a process whose first stage this is.

    Not one variable for whichever stages there are: processes that share out the stages among
    them begin with different ones, and so are never in each other's way.
    """
    return f"ENRICHER_{stage.upper()}_OPS_PORT"


def ops_port(environ: Mapping[str, str], stage: Stage) -> int:
    """That port.

    Raises:
        InvalidSetting: names the variable.
    """
    return read(environ, ops_variable(stage), port, _OPS_PORTS[stage])
