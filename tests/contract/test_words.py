"""Every word of ours that travels has its place in each list of words: none can be forgotten.

The lists are held against where the words come from: the types of the messages, the failures'
reasons, and, where a word is only written down in the code, the code.
"""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from msgspec.structs import fields

from analyzer.checks import _REASONS as STAGE_REASONS
from consulta.cli.output import TINTS
from enricher.failures import Failure
from enricher.providers import registry
from shared import stages
from shared.analysis import Severity
from shared.circuits import State
from shared.domain.answers import ErrorCode, JobOutcome
from shared.flow.ending import MESSAGES
from shared.identifiers import KINDS
from shared.messages import STAGES, EventType, Outcome
from shared.records import RECORDS
from shared.stages import POSSIBLE, waits_for

ROOT: Final = Path(__file__).parents[2]
WORDS: Final = ROOT / "gateway" / "static" / "words.js"
WORD: Final = re.compile(r"[a-z_]+")
PRINTED: Final = """
const waits = (kind) => Object.keys(STAGES).map((stage) => [stage, waitsFor(kind, stage)]);
console.log(JSON.stringify({
  KINDS, STAGES, OUTCOMES, ANSWERED: [...ANSWERED], REASONS, CIRCUITS, JOBS, SEVERITIES, FIELDS,
  waits: Object.keys(KINDS).map((kind) => [kind, waits(kind)]),
}));
"""


@cache
def page() -> dict[str, Any]:
    """The lists of the console, as its JavaScript has them."""
    lists = "KINDS, STAGES, OUTCOMES, ANSWERED: [...ANSWERED], REASONS, CIRCUITS, JOBS, SEVERITIES"
    waits = (
        "Object.keys(KINDS).map((k) => [k, Object.keys(STAGES).map((s) => [s, waitsFor(k, s)])])"
    )
    told = f"console.log(JSON.stringify({{{lists}, FIELDS, waits: {waits}}}));"
    done = subprocess.run(
        ["node", "--input-type=module"], input=f"{WORDS.read_text()}\n{told}",
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def reasons() -> set[str]:
    """Why a call brought nothing, by every failure there is, those of single providers included."""
    registry.modules()

    def below(failure: type[Failure]) -> Iterator[str]:
        yield failure.reason
        for special in failure.__subclasses__():
            yield from below(special)

    return set(below(Failure))


def written(name: str, *patterns: str) -> set[str]:
    """The words that the code gives to variables, attributes, arguments or keys of this name."""
    nodes = (
        node
        for pattern in patterns
        for path in ROOT.glob(pattern)
        for node in ast.walk(ast.parse(path.read_text()))
    )
    return {
        str(text.value)
        for node in nodes
        for value in _given(node, name)
        for text in ast.walk(value)
        if isinstance(text, ast.Constant) and WORD.fullmatch(str(text.value))
    }


def _given(node: ast.AST, name: str) -> Iterator[ast.expr]:
    match node:
        case ast.Assign(targets=targets, value=value):
            if any(_named(target, name) for target in targets):
                yield value
        case ast.keyword(arg=str(arg), value=ast.Constant() | ast.IfExp() as value) if arg == name:
            yield value
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and key.value == name:
                    yield value


def _named(target: ast.expr, name: str) -> bool:
    match target:
        case ast.Name(id=found) | ast.Attribute(attr=found):
            return found == name
    return False


def test_the_console_has_every_outcome_of_a_stage() -> None:
    assert set(page()["OUTCOMES"]) == set(get_args(Outcome))
    assert set(page()["ANSWERED"]) <= set(get_args(Outcome))


def test_the_console_has_every_reason_of_an_attempt_and_every_cause_of_a_circuit() -> None:
    causes = written("cause", "enricher/**/*.py") | written("reason", "shared/**/circuits.py")
    assert {"failure_rate", "slow_calls", "forced"} <= causes, "the search finds what it looks for"
    assert set(page()["REASONS"]) == reasons() | causes


def test_the_console_has_every_state_of_a_circuit() -> None:
    assert set(page()["CIRCUITS"]) == set(get_args(State))


def test_the_console_has_every_outcome_of_a_job() -> None:
    assert set(page()["JOBS"]) == set(get_args(JobOutcome))


def test_every_outcome_of_a_job_is_one_of_the_contract() -> None:
    assert written("outcome", "shared/**/schedule.py") <= set(get_args(JobOutcome))


def test_every_code_of_an_error_has_its_words() -> None:
    assert set(MESSAGES) == set(get_args(ErrorCode))


def test_the_console_has_every_severity_of_a_finding() -> None:
    assert set(page()["SEVERITIES"]) == set(get_args(Severity))


def test_the_console_has_every_kind_with_its_stages_and_what_they_wait_for() -> None:
    assert set(page()["STAGES"]) == {*STAGES, "analysis"}
    assert set(page()["KINDS"]) == set(KINDS)
    waits = {kind: dict(row) for kind, row in page()["waits"]}
    for kind in KINDS:
        told = page()["KINDS"][kind]
        assert tuple(told["stages"]) == stages.DEFAULT[kind]
        assert {*told["stages"], *told["more"]} == set(POSSIBLE[kind])
        assert {stage: waits[kind][stage] for stage in POSSIBLE[kind]} == {
            stage: waits_for(kind, stage) for stage in POSSIBLE[kind]
        }


def test_the_console_names_every_field_of_a_record() -> None:
    named = {entry.encode_name for record in RECORDS.values() for entry in fields(record)}
    assert named <= set(page()["FIELDS"])


def test_the_analysis_has_a_reason_for_every_stage_without_an_answer() -> None:
    assert set(STAGE_REASONS) == set(get_args(Outcome)) - {"ok", "nao_encontrado"}


@pytest.mark.parametrize("words", [JobOutcome, State], ids=["jobs", "circuits"])
def test_the_command_line_colours_every_state(words: Any) -> None:
    assert set(get_args(words)) - {"nunca"} <= set(TINTS)


def test_the_command_line_colours_no_word_that_nobody_says() -> None:
    known = {word for of in (Outcome, State, JobOutcome, EventType) for word in get_args(of)}
    assert set(TINTS) <= known
