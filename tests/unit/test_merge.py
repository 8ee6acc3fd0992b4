"""Merging: each field once with its source, disagreements listed, odd data survived."""

from datetime import date
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.merge import analyze, disagree
from shared.analysis import Analysis
from shared.identifiers import KINDS, Kind
from shared.messages import STAGES, Event, EventType, Outcome, Stage

TODAY = date(2026, 3, 1)
ENTRY: dict[str, Any] = {
    "nome": "PADARIA EXEMPLO LTDA",
    "situacao": "Ativa",
    "abertura": "2010-05-04",
    "natureza_juridica": "Sociedade Empresária Limitada",
    "capital_social": 50000,
    "cnae": {"codigo": "1091102"},
    "endereco": {
        "cep": "01001000",
        "logradouro": "PC DA SE",
        "numero": "0100",
        "complemento": "SALA 2",
        "municipio": "SAO PAULO",
        "uf": "SP",
    },
    "telefones": ["11 33334444", "nenhum"],
    "socios": [{"nome": "Fulana de Tal"}, {"qualificacao": "sem nome"}],
    "mei": False,
}
PLACE = {
    "cep": "01001000",
    "logradouro": "Praça da Sé",
    "complemento": "lado ímpar",
    "municipio": "São Paulo",
    "uf": "SP",
}


def ended(
    stage: EventType, data: Any = None, outcome: Outcome = "ok", *, source: str = "a", age: int = 0
) -> Event:
    return Event(
        type=stage,
        timestamp="2026-03-01T12:00:00.000000Z",
        data=data,
        outcome=outcome,
        source=source,
        age_s=age,
    )


def merged(kind: Kind, *events: Event) -> Analysis:
    return analyze(kind, events, TODAY)


def test_every_field_says_who_told_it_and_how_old_it_is() -> None:
    event = ended("cadastro", {"nome": " Padaria\n X "}, source="opencnpj", age=60)
    profile = msgspec.to_builtins(merged("cnpj", event))["perfil"]
    assert profile == {
        "razao_social": {
            "valor": "Padaria X",
            "origem": "opencnpj",
            "etapa": "cadastro",
            "idade_s": 60,
        }
    }


def test_a_company_has_its_street_from_the_cep_and_its_number_from_the_registration() -> None:
    result = merged("cnpj", ended("cadastro", ENTRY), ended("endereco", PLACE))
    stages = {about: told.stage for about, told in result.profile.items()}
    assert stages["logradouro"] == stages["municipio"] == "endereco"
    assert stages["numero"] == stages["complemento"] == "cadastro"
    assert result.profile["complemento"].value == "SALA 2"
    assert result.conflicts == []


def test_what_a_cep_says_of_the_whole_street_is_no_companys_complement() -> None:
    assert "complemento" not in merged("cnpj", ended("endereco", PLACE)).profile
    assert merged("cep", ended("endereco", PLACE)).profile["complemento"].value == "lado ímpar"


def test_phones_of_the_phone_stage_come_before_those_of_the_registration() -> None:
    phone = {"numero": "+551133334444", "tipo": "fixo", "ddd": "11", "uf": "SP"}
    both = merged("cnpj", ended("cadastro", ENTRY), ended("telefone", {"numeros": [phone]}))
    assert both.profile["telefones"].value == [phone]
    one = merged("cnpj", ended("cadastro", ENTRY), ended("telefone", None, "indisponivel"))
    assert one.profile["telefones"].value == [{"numero": "+551133334444"}]


def test_the_dates_of_two_sources_do_not_disagree() -> None:
    entry, place = (
        {**data, "atualizado_em": day}
        for data, day in ((ENTRY, "2026-01-10"), (PLACE, "2024-05-01"))
    )
    result = merged("cnpj", ended("cadastro", entry), ended("endereco", place))
    assert result.conflicts == []
    assert result.profile["atualizado_em"].value == "2026-01-10"
    assert "atualizado_em" not in merged("cep", ended("endereco", place)).profile


def test_good_data_comes_before_stale_data_even_of_the_stage_whose_word_counts() -> None:
    stale = ended("endereco", PLACE, "degradado", age=9)
    result = merged("cnpj", ended("cadastro", ENTRY), stale)
    assert result.profile["municipio"].stage == "cadastro"


def test_a_persons_registration_has_the_word_on_their_name() -> None:
    fresh = ended("telegram", {"nome": "Ana", "usuario": "ana"})
    result = merged("cpf", fresh, ended("cadastro", {"nome": "Ana Souza"}, age=99))
    assert result.profile["nome"].value == "Ana Souza"
    assert result.profile["usuario"].stage == "telegram"
    assert result.conflicts == []


def test_a_disagreement_lists_every_version_with_the_chosen_one_first() -> None:
    other = {"municipio": "Osasco", "uf": "SP"}
    result = merged("cnpj", ended("endereco", other, source="b"), ended("cadastro", ENTRY))
    assert msgspec.to_builtins(result.conflicts) == [
        {
            "campo": "municipio",
            "valores": [
                {"valor": "Osasco", "origem": "b", "etapa": "endereco"},
                {"valor": "SAO PAULO", "origem": "a", "etapa": "cadastro"},
            ],
        }
    ]


def test_data_of_an_outcome_that_vouches_for_none_is_left_out() -> None:
    for outcome in set(get_args(Outcome)) - {"ok", "degradado"}:
        assert merged("cep", ended("endereco", PLACE, outcome)).profile == {}


def test_a_badly_typed_field_costs_itself_only() -> None:
    entry = {**ENTRY, "nome": 7, "capital_social": "muito", "socios": "x", "mei": 1}
    profile = merged("cnpj", ended("cadastro", entry)).profile
    assert not {"razao_social", "capital_social", "socios", "mei"} & profile.keys()
    assert profile["cnae"].value == {"codigo": "1091102"}


def test_false_is_told_and_a_partner_without_a_name_is_not() -> None:
    profile = merged("cnpj", ended("cadastro", ENTRY)).profile
    assert profile["mei"].value is False
    assert profile["socios"].value == [{"nome": "Fulana de Tal"}]


@pytest.mark.parametrize(
    ("about", "one", "other"),
    [
        ("logradouro", "R. 07 DE SETEMBRO", "Rua 7 de Setembro"),
        ("logradouro", "AV DR ARNALDO", "Avenida Doutor Arnaldo"),
        ("logradouro", "PAULISTA", "Avenida Paulista"),
        ("logradouro", "-", "Avenida Paulista"),
        ("bairro", "JD AMERICA", "Jardim América"),
        ("municipio", "SANTA BARBARA D OESTE", "Santa Bárbara d'Oeste"),
        ("nome", "JOSÉ C. SILVA", "jose carlos da silva"),
        ("numero", "0012", "12"),
        ("cep", "01001-000", "01001000"),
        ("cnaes_secundarios", ["a"], ["b"]),
    ],
)
def test_another_spelling_and_telling_less_are_no_disagreement(
    about: str, one: object, other: object
) -> None:
    assert not disagree(about, one, other)
    assert not disagree(about, other, one)


@pytest.mark.parametrize(
    ("about", "one", "other"),
    [
        ("logradouro", "Rua Augusta", "Avenida Augusta"),
        ("logradouro", "Rua 1", "Rua 15"),
        ("logradouro", "Rua D", "Rua E"),
        ("municipio", "São Paulo", "São Paulo de Olivença"),
        ("nome", "Ana Souza", "Ana Silva"),
        ("numero", "12", "120"),
        ("uf", "SP", "RJ"),
    ],
)
def test_another_meaning_is_a_disagreement(about: str, one: str, other: str) -> None:
    assert disagree(about, one, other)
    assert disagree(about, other, one)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
SHAPES: dict[Stage, dict[str, Any]] = {
    "telegram": {"nome": "Ana", "nascimento": "1990-01-01"},
    "endereco": PLACE,
    "telefone": {
        "numeros": [{"numero": "+551133334444", "tipo": "fixo", "ddd": "11"}],
        "cidades": {"11": ["SAO PAULO", "GUARULHOS"]},
    },
    "cadastro": {**ENTRY, "nascimento": "2030-13-45", "obito": "1980", "atualizado_em": "2020"},
}


@st.composite
def stage_data(draw: st.DrawFn, stage: Stage) -> Any:
    """A stage's data with some fields, on every level, gone or turned into anything."""

    def bent(value: Any) -> Any:
        if draw(st.integers(0, 5)) == 0:
            return draw(JSON)
        if isinstance(value, dict):
            return {key: bent(inner) for key, inner in value.items() if draw(st.integers(0, 7))}
        return [bent(inner) for inner in value] if isinstance(value, list) else value

    return bent(SHAPES[stage])


@st.composite
def stage_events(draw: st.DrawFn) -> Event:
    stage = draw(st.sampled_from(STAGES))
    event = Event(
        type=stage,
        timestamp=draw(st.sampled_from(["2026-03-01T12:00:00Z", "2026-03-01T12:00:01Z", ""])),
        data=draw(stage_data(stage)),
    )
    if draw(st.integers(0, 9)):
        event.outcome = draw(st.sampled_from(("ok", "ok", *get_args(Outcome))))
        event.source = draw(st.sampled_from(["a", "b"]))
        event.age_s = draw(st.integers(-(10**9), 10**12))
    return event


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), st.lists(stage_events(), max_size=6), st.randoms())
def test_any_data_gives_a_result_for_the_wire_that_no_order_of_events_changes(
    kind: Kind, events: list[Event], random: Any
) -> None:
    result = msgspec.json.encode(analyze(kind, events, TODAY))
    assert msgspec.json.decode(result, type=Analysis).summary.isprintable()
    random.shuffle(events)
    assert msgspec.json.encode(analyze(kind, events, TODAY)) == result


def test_events_that_end_no_stage_are_passed_over() -> None:
    waiting = Event(type="aguardando", timestamp="", data={"retry_at": 1})
    assert merged("cep", waiting, ended("endereco", PLACE)) == merged(
        "cep", ended("endereco", PLACE)
    )
