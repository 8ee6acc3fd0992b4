"""Findings: what a reader of a result is told to notice."""

from datetime import date
from typing import Any

import pytest

from analyzer.merge import analyze
from shared.analysis import Finding
from shared.identifiers import Kind
from shared.messages import Event, Outcome, Stage

TODAY = date(2026, 3, 1)


def ended(stage: Stage, data: Any = None, outcome: Outcome = "ok", age: int = 0) -> Event:
    return Event(type=stage, timestamp="", data=data, outcome=outcome, source="a", age_s=age)


def found(kind: Kind, *events: Event) -> list[Finding]:
    return analyze(kind, events, TODAY).findings


def codes(kind: Kind, *events: Event) -> dict[str, str]:
    return {finding.code: finding.severity for finding in found(kind, *events)}


def phone(area_code: str, state: str, kind: str = "fixo", **more: Any) -> Event:
    number = {"numero": "+55", "tipo": kind, "ddd": area_code, "uf": state}
    return ended("telefone", {"numeros": [number], **more})


def test_a_sound_company_has_no_findings() -> None:
    entry = {"situacao": "ATIVA", "abertura": "2010-01-01", "endereco": {"uf": "SP"}}
    events = (ended("cadastro", entry), ended("endereco", {"uf": "SP"}), phone("11", "SP"))
    assert found("cnpj", *events) == []


@pytest.mark.parametrize(
    ("kind", "entry", "expected"),
    [
        ("cnpj", {"situacao": "Baixada"}, {"empresa_nao_ativa": "alerta"}),
        ("cnpj", {"abertura": "2027-01-01"}, {"abertura_futura": "atencao"}),
        ("cnpj", {"abertura": "ontem"}, {"abertura_invalida": "atencao"}),
        ("cnpj", {"atualizado_em": "2025-01-01"}, {"fonte_antiga": "info"}),
        ("cpf", {"situacao": "Regular"}, {}),
        ("cpf", {"situacao": "Suspensa"}, {"cpf_nao_regular": "alerta"}),
        ("cpf", {"situacao": "Titular Falecido"}, {"pessoa_falecida": "alerta"}),
        ("cpf", {"obito": "2020"}, {"pessoa_falecida": "alerta"}),
        ("cpf", {"nascimento": "1990-02-30"}, {"nascimento_invalido": "atencao"}),
        ("cpf", {"nascimento": "2026-03-02"}, {"nascimento_futuro": "atencao"}),
        ("cpf", {"nascimento": "1850-01-01"}, {"nascimento_improvavel": "atencao"}),
        ("cpf", {"nascimento": "2008-03-02"}, {"menor_de_idade": "atencao"}),
        ("cpf", {"nascimento": "2008-03-01"}, {}),
        (
            "cpf",
            {"nascimento": "1990-01-01", "obito": "1980"},
            {"pessoa_falecida": "alerta", "obito_antes_do_nascimento": "alerta"},
        ),
    ],
)
def test_a_registration_is_checked(
    kind: Kind, entry: dict[str, str], expected: dict[str, str]
) -> None:
    assert codes(kind, ended("cadastro", entry)) == expected


def test_a_cep_of_another_state_than_the_registrations_is_found() -> None:
    entry = ended("cadastro", {"endereco": {"uf": "SP"}})
    assert codes("cnpj", entry, ended("endereco", {"uf": "RJ"})) == {"uf_divergente": "atencao"}
    assert codes("cnpj", entry, ended("endereco", {"uf": "sp"})) == {}


def test_a_registered_cep_that_does_not_exist_is_found() -> None:
    entry = ended("cadastro", {"endereco": {"cep": "01001999"}})
    unknown = ended("endereco", None, "nao_encontrado")
    assert codes("cnpj", entry, unknown) == {"cep_nao_encontrado": "atencao"}


def test_a_landline_of_another_state_weighs_more_than_a_mobile() -> None:
    place = ended("endereco", {"uf": "SP", "municipio": "Franca"})
    assert codes("cpf", place, phone("21", "RJ")) == {"ddd_de_outra_uf": "atencao"}
    assert codes("cpf", place, phone("21", "RJ", "movel")) == {"ddd_de_outra_uf": "info"}
    assert codes("cpf", place, phone("11", "SP")) == {}


def test_area_codes_that_two_states_share_are_of_both() -> None:
    place = ended("endereco", {"uf": "GO", "municipio": "Luziânia"})
    assert codes("cpf", place, phone("61", "DF")) == {}
    assert codes("cpf", place, phone("34", "MG", cidades={"34": ["LUZIÂNIA"]})) == {}


def test_stale_data_is_told_with_its_age() -> None:
    [finding] = found("cep", ended("endereco", {"uf": "SP"}, "degradado", age=3 * 86400 + 5))
    assert finding.code == "dados_degradados"
    assert "há 3 dias" in finding.message


@pytest.mark.parametrize(
    ("seconds", "text"), [(86400, "há 1 dia,"), (7200, "há 2 horas,"), (59, "menos de uma hora,")]
)
def test_ages_are_told_in_words(seconds: int, text: str) -> None:
    [finding] = found("cep", ended("endereco", {"uf": "SP"}, "degradado", age=seconds))
    assert text in finding.message


def test_a_stage_without_an_answer_is_told_with_its_reason() -> None:
    [finding] = found("cep", ended("endereco", None, "nao_confirmado"))
    assert (finding.code, finding.severity) == ("etapa_sem_resposta", "atencao")
    assert "pode estar com falha" in finding.message
    assert codes("cpf", ended("cadastro", None, "nao_configurado")) == {
        "etapa_sem_resposta": "info"
    }


def test_each_stage_s_source_has_an_age_of_its_own() -> None:
    person = ended("telegram", {"nome": "Ana", "atualizado_em": "2024-05-01"})
    place = ended("endereco", {"uf": "SP", "atualizado_em": "2026-02-01"})
    [finding] = found("cpf", person, place)
    assert (finding.code, finding.severity) == ("fonte_antiga", "info")
    assert finding.message == "A fonte da etapa telegram é de 01/05/2024."


def test_the_gravest_finding_comes_first() -> None:
    entry = {"situacao": "Baixada", "abertura": "2027-01-01", "atualizado_em": "2020-01-01"}
    severities = [finding.severity for finding in found("cnpj", ended("cadastro", entry))]
    assert severities == ["alerta", "atencao", "info"]
