"""An answer that stands ready is the one that would be written now."""

import time
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.hits.near import Near, Which
from gateway.hits.ready import Form, Question, Ready, written
from shared.cache import Entries, Entry
from shared.messages import Stage, instant
from shared.reporter import event
from shared.results import analysis_entry, analysis_field, hit

STAGES: tuple[Stage, ...] = ("telegram", "endereco", "telefone")
TASK = "01234567-89ab-8def-8123-456789abcdef"
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["%", "%(at)b", "%d"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


def known(data: Any, ages: list[int], now: float = 1_000_000) -> Entries:
    entries: Entries = {
        stage: Entry(data=data, source="test", fetched=instant(now - age), fresh_until=now + 60)
        for stage, age in zip(STAGES, ages, strict=True)
    }
    told = []
    for stage, entry in entries.items():
        one = event(cast("Stage", stage), entry.data, "ok")
        one.fetched = entry.fetched
        told.append(one)
    analysis = analysis_entry(told, event("analysis", {"resumo": data}, "ok"))
    assert analysis is not None
    return {**entries, analysis_field(STAGES): analysis}


def question(purpose: str | None = None) -> Question:
    return Question("ours", "cpf", "d" * 32, STAGES, purpose)


@pytest.mark.parametrize("form", ["result", "frames"])
@given(
    data=VALUES,
    ages=st.lists(st.integers(0, 10**7), min_size=3, max_size=3),
    later=st.integers(0, 59),
    purpose=st.none() | TEXTS,
)
def test_it_is_written_as_if_it_were_written_now(
    form: Form, data: Any, ages: list[int], later: int, purpose: str | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        now = 1_000_000.0
        patch.setattr("time.time", lambda: now)
        entries = known(data, ages)
        first = hit("cpf", STAGES, entries)
        assert first is not None
        ready = Ready(form, question(), entries, first, 1e9)
        now += later
        events = hit("cpf", STAGES, entries, purpose)
        assert events is not None
        assert ready.given(question(purpose), TASK) == written(form, events, TASK)


def test_it_is_fresh_as_long_as_its_stages_and_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, mono = 1_000_000.0, 500.0
    monkeypatch.setattr("time.time", lambda: wall)
    monkeypatch.setattr("time.monotonic", lambda: mono)
    entries = known({}, [1, 2, 3])
    entries["endereco"].fresh_until = wall + 10
    events = hit("cpf", STAGES, entries)
    assert events is not None
    ready = Ready("result", question(), entries, events, mono + 5)
    assert ready.is_fresh()
    wall += 10
    assert not ready.is_fresh()
    wall -= 1
    assert ready.is_fresh()
    mono += 5
    assert not ready.is_fresh()


def ready_of(size: int) -> Ready:
    entries = known("x" * size, [0, 0, 0], time.time())
    events = hit("cpf", STAGES, entries)
    assert events is not None
    return Ready("result", question(), entries, events, time.monotonic() + 60)


def test_those_asked_for_last_stay_and_all_fit_the_room() -> None:
    size = ready_of(1000).size
    near = Near(10 * size)
    which: Which = (STAGES, "result")
    for number in range(50):
        near.put(f"cpf:{number}", which, ready_of(1000))
        assert near.bytes <= 10 * size
        # This one is asked for all the time.
        assert near.get("cpf:0", which) is not None
    held = [number for number in range(50) if near.get(f"cpf:{number}", which)]
    assert held == [0, *range(41, 50)]
    near.put("cpf:49", which, ready_of(20_000))
    assert near.bytes <= 10 * size
    near.forget("cpf:49")
    near.forget("cpf:none")
    near.forget(None)
    assert near.bytes == 0


def test_what_is_larger_than_the_room_is_not_kept() -> None:
    near = Near(2000)
    near.put("cpf:1", (STAGES, "result"), ready_of(3000))
    assert (near.bytes, near.get("cpf:1", (STAGES, "result"))) == (0, None)


def test_a_ready_answer_says_what_it_takes() -> None:
    answer = ready_of(1000)
    text = len(msgspec.json.encode({"a": "x" * 1000})) * 4
    assert text < answer.size < 2 * text
