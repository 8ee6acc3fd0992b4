"""What every service is told, so that whichever is up can end a lookup whose time is up."""

from dataclasses import dataclass

from shared.flow.freshness import Freshness
from shared.lookups import KEEP_S
from shared.orders import Rates
from shared.settings import Common, seconds, setting


@dataclass(frozen=True)
class Service(Rates, Freshness, Common):
    """The servers, the limits of the queues, how long answers are fresh and ended lookups kept."""

    keep_s: float = setting(seconds, str(KEEP_S))
