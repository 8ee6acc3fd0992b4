"""`python -m enricher STAGE [STAGE ...]`: which stages a process does, and where it says so."""

import sys
from collections.abc import Sequence
from itertools import permutations

import pytest

from enricher import __main__ as command
from enricher.app import service
from enricher.settings import ops_port, ops_variable
from shared.messages import STAGES, Stage


@pytest.mark.parametrize("number", range(1, len(STAGES) + 1))
def test_any_stages_are_done_in_any_order(number: int) -> None:
    for named in permutations(STAGES, number):
        assert command.stages(named) == named


@pytest.mark.parametrize(
    "words",
    [
        [],
        [""],
        ["cep"],
        ["TELEGRAM"],
        ["telegram", "telegram"],
        ["telegram", "endereco", "cep"],
        ["--help"],
        ["telegram+endereco"],
        [*STAGES, STAGES[0]],
    ],
)
def test_anything_else_is_answered_with_one_line_of_usage(
    monkeypatch: pytest.MonkeyPatch, words: Sequence[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["enricher", *words])
    with pytest.raises(SystemExit) as end:
        command.run()
    told = str(end.value)
    assert told.startswith("usage: python -m enricher ")
    assert "\n" not in told
    assert all(stage in told for stage in STAGES)


def test_a_port_that_cannot_be_used_is_named_by_the_first_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["enricher", "cadastro", "telegram"])
    monkeypatch.setenv("ENRICHER_TELEGRAM_OPS_PORT", "no port either")
    monkeypatch.setenv("ENRICHER_CADASTRO_OPS_PORT", "none")
    with pytest.raises(SystemExit, match=r"^consulta: ENRICHER_CADASTRO_OPS_PORT: 'none' cannot"):
        command.run()


def test_processes_that_share_out_the_stages_have_ports_and_names_of_their_own() -> None:
    shares: list[tuple[Stage, ...]] = [("telegram", "cadastro"), ("telefone",), ("endereco",)]
    assert len({ops_variable(first) for first, *_ in shares}) == len(shares)
    assert len({ops_port({}, first) for first, *_ in shares}) == len(shares)
    assert [service(share) for share in shares] == [
        "enricher telegram+cadastro", "enricher telefone", "enricher endereco",
    ]  # fmt: skip
