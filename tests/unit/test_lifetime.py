"""Nobody kills a service that is still finishing what it took."""

import re
from pathlib import Path

from deploy.local import stack
from shared import app, consumer
from shared.domain.lifetime import DRAIN_S, END_S, GRACE_S, REQUESTS_S

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"


def test_a_service_drains_before_it_ends_and_ends_before_it_is_killed() -> None:
    assert REQUESTS_S + DRAIN_S < END_S < GRACE_S
    assert (vars(consumer)["DRAIN_S"], vars(app)["END_S"]) == (DRAIN_S, END_S)
    assert vars(stack)["GRACE_S"] == GRACE_S


def test_containers_are_given_as_long_as_processes() -> None:
    periods = re.findall(r"stop_grace_period: (\d+)s\n", COMPOSE.read_text())
    # Of the services, and of RabbitMQ, which takes its own time.
    assert len(periods) == COMPOSE.read_text().count("stop_grace_period") == 2
    assert min(map(int, periods)) >= GRACE_S
