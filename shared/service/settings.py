"""What every service is told, so that whichever is up can end a lookup whose time is up."""

from dataclasses import dataclass

from shared.flow.freshness import Freshness
from shared.orders import Rates
from shared.settings import Common


@dataclass(frozen=True)
class Service(Rates, Freshness, Common):
    """The servers, the limits of the queues, and how long answers are fresh."""
