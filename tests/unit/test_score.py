"""Completeness, what is missing, and the line that sums a result up."""

from datetime import date
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.merge import analyze
from shared.identifiers import KINDS, Kind
from shared.messages import Event, Outcome, Stage
from shared.stages import POSSIBLE

TODAY = date(2026, 3, 1)
PLACE = {"cep": "01001000", "logradouro": "Praça da Sé", "municipio": "São Paulo", "uf": "SP"}
MOBILE = {"numeros": [{"numero": "+5511987654321", "tipo": "movel", "ddd": "11", "uf": "SP"}]}
ENTRY = {
    "nome": "Padaria",
    "situacao": "ATIVA",
    "abertura": "2010-05-04",
    "natureza_juridica": "Limitada",
    "cnae": {"codigo": "1091102"},
}
DATA: dict[Stage, Any] = {
    "telegram": {"nome": "Ana", "nascimento": "1990-01-01"},
    "endereco": PLACE,
    "telefone": MOBILE,
    "cadastro": ENTRY,
}


def ended(stage: Stage, outcome: Outcome = "ok", data: Any = None, age: int = 0) -> Event:
    told = data if data or outcome not in {"ok", "degradado"} else DATA[stage]
    return Event(type=stage, timestamp="", data=told, outcome=outcome, source="a", age_s=age)


def score(kind: Kind, *events: Event) -> float:
    return analyze(kind, events, TODAY).completeness


def summary(kind: Kind, *events: Event) -> str:
    return analyze(kind, events, TODAY).summary


def company(*, address: Outcome = "ok", phone: Outcome = "ok") -> tuple[Event, ...]:
    return ended("cadastro"), ended("endereco", address), ended("telefone", phone)


def test_all_answered_and_all_essential_fields_told_is_one() -> None:
    assert score("cnpj", *company()) == 1
    assert score("cpf", ended("telegram"), ended("endereco"), ended("telefone")) == 1
    assert score("cep", ended("endereco")) == 1
    assert score("telefone", ended("telefone")) == 1


def test_nothing_answered_is_zero() -> None:
    assert score("cpf") == 0
    assert score("cpf", ended("telegram", "indisponivel"), ended("telefone", "limitado")) == 0


def test_an_authoritative_not_found_counts_as_known() -> None:
    assert score("cep", ended("endereco", "nao_encontrado")) == 0.6
    assert score("cep", ended("endereco", "nao_confirmado")) == 0


def test_stale_data_counts_less_the_older_it_is_down_to_half() -> None:
    days = (0, 45, 90, 900)
    scores = [score("cep", ended("endereco", "degradado", age=day * 86400)) for day in days]
    assert scores == pytest.approx([0.82, 0.715, 0.61, 0.61], abs=0.006)


def test_only_the_stages_asked_for_count() -> None:
    assert score("cpf", ended("telefone")) == 1


def events_of(kind: Kind) -> st.SearchStrategy[list[Event]]:
    one = [
        st.builds(
            ended,
            st.just(stage),
            st.sampled_from(get_args(Outcome)),
            st.sampled_from([None, {"uf": "SP"}, {"nome": "Ana"}]),
            st.integers(0, 10**8),
        )
        for stage in POSSIBLE[kind]
    ]
    return st.tuples(*one).map(list)


@given(st.data())
def test_one_more_answer_never_lowers_the_score(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    events = data.draw(events_of(kind))
    before = score(kind, *events)
    assert 0 <= before <= 1
    place = data.draw(st.integers(0, len(events) - 1))
    worse = events[place]
    better: Outcome = (
        "ok" if worse.outcome in {"ok", "degradado", "nao_encontrado"} else "degradado"
    )
    events[place] = msgspec.structs.replace(worse, outcome=better)
    after = score(kind, *events)
    assert after >= before
    events[place] = msgspec.structs.replace(events[place], outcome="ok")
    assert score(kind, *events) >= after


def test_stages_without_an_answer_are_listed_with_what_became_of_them() -> None:
    events = company(address="indisponivel", phone="nao_encontrado")
    result = msgspec.to_builtins(analyze("cnpj", events, TODAY))
    assert result["faltando"] == [{"etapa": "endereco", "situacao": "indisponivel"}]


def test_a_degraded_answer_without_data_is_none() -> None:
    empty = Event(type="endereco", timestamp="", outcome="degradado")
    result = analyze("cep", [empty], TODAY)
    assert result.completeness == 0
    assert [one.outcome for one in result.missing] == ["degradado"]


@pytest.mark.parametrize(
    ("kind", "events", "line"),
    [
        (
            "cnpj",
            company(),
            (
                "Empresa ativa em São Paulo/SP, aberta em 2010; "
                "3 de 3 etapas respondidas, nenhum conflito."
            ),
        ),
        (
            "cnpj",
            (
                ended("cadastro", data={"endereco": {"municipio": "RIO DE JANEIRO", "uf": "SP"}}),
                ended("endereco", data={"municipio": "Rio de Janeiro", "uf": "RJ"}),
            ),
            "Empresa em Rio de Janeiro/RJ; 2 de 2 etapas respondidas, 1 conflito.",
        ),
        (
            "cpf",
            (ended("telegram"), ended("endereco", "expirado"), ended("telefone")),
            "Pessoa, 1 telefone; 2 de 3 etapas respondidas, nenhum conflito.",
        ),
        (
            "cpf",
            (ended("cadastro", data={"obito": "2020"}), ended("endereco")),
            (
                "Pessoa falecida sem nome informado em São Paulo/SP; "
                "2 de 2 etapas respondidas, nenhum conflito."
            ),
        ),
        (
            "cep",
            (ended("endereco", data={"municipio": "RIO DE JANEIRO"}),),
            "CEP em Rio de Janeiro; 1 de 1 etapa respondida, nenhum conflito.",
        ),
        (
            "telefone",
            (ended("telefone"),),
            "Telefone móvel do DDD 11 (SP); 1 de 1 etapa respondida, nenhum conflito.",
        ),
        (
            "cep",
            (ended("endereco", "nao_encontrado"),),
            "Nada encontrado; 1 de 1 etapa respondida.",
        ),
        (
            "cpf",
            (ended("telegram", "indisponivel"), ended("telefone", "expirado")),
            "Sem resposta das fontes; 0 de 2 etapas respondidas.",
        ),
        ("cpf", (), "Nenhuma etapa foi consultada."),
    ],
)
def test_a_line_sums_the_result_up(kind: Kind, events: tuple[Event, ...], line: str) -> None:
    assert summary(kind, *events) == line


@pytest.mark.parametrize("kind", KINDS)
def test_the_line_names_nobody(kind: Kind) -> None:
    line = summary(kind, *(ended(stage) for stage in POSSIBLE[kind]))
    assert not any(secret in line for secret in ("Ana", "Padaria", "98765", "01001"))
