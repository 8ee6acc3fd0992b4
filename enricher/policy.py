"""When a breaker opens, and for how long."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """Times in seconds.

    It opens after `consecutive` failures, or when, of at least `minimum` calls of the last
    `window`, a share of `failure_rate` failed or of `slow_rate` took `slow_call` or longer. It
    stays open for `open_for`, twice as long after each probe that failed, up to `longest`.
    """

    consecutive: int = 5
    window: float = 60.0
    minimum: int = 20
    failure_rate: float = 0.5
    slow_call: float = 8.0
    slow_rate: float = 0.8
    open_for: float = 5.0
    longest: float = 120.0
    # After that, and after a probe cut short, for so long only a call that has all of the
    # provider's time may be the probe: hurried ones, one after the other, would prove nothing.
    probe_grace: float = 5.0
    # A probe that has not come back by then is taken for lost, with its process: so it is longer
    # than any call may take.
    probe_lease: float = 15.0


def spread(seconds: float) -> float:
    """A fifth more or less, so that what broke off together does not come back together."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311
