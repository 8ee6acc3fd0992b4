"""`.env.example` names every variable there is, and is a file the local runner can read."""

from dataclasses import fields
from pathlib import Path

import pytest

import analyzer.settings
import cache_service.settings
import enricher.settings
import gateway.settings
from deploy.local.environment import OPS_PORTS, settings
from shared.messages import STAGES
from shared.settings import Common

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"


@pytest.mark.parametrize(
    "of_service",
    [
        analyzer.settings.Settings,
        cache_service.settings.Settings,
        enricher.settings.Settings,
        gateway.settings.Settings,
    ],
)
def test_it_names_what_each_service_reads(of_service: type[Common]) -> None:
    named = {line.split("=")[0] for line in EXAMPLE.read_text().splitlines() if "=" in line}
    read = {entry.metadata["from"][2] or entry.name.upper() for entry in fields(of_service)}
    assert (
        read | set(OPS_PORTS.values()) | set(map(enricher.settings.ops_variable, STAGES)) <= named
    )


def test_empty_values_count_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMQP_URL", raising=False)
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    given = settings(EXAMPLE)
    assert "AMQP_URL" not in given
    assert given["RATE_ENDERECO"] == "50/min"
    assert given["LOG_LEVEL"] == "DEBUG"
