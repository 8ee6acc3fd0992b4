"""How much a result says: a number, what is lacking, and one line of text.

    completeness = 0.6 · answered + 0.4 · filled

`answered` is the mean over the stages that were asked for, each with its weight for the kind, of

    1.0   ok, or an authoritative "not found": we know
    0.7   stale data, sinking with its age to 0.35 at 90 days and staying there
    0.0   every other outcome

`filled` is the share of those stages' essential fields that the profile has, whichever stage told
them. So for the same stages, one more answer or one more field never lowers the number; a subject
that does not exist has 0.6, since all is known of it and there is no profile.
"""

from collections.abc import Mapping
from typing import Any, Final

from analyzer.analysis import Step
from analyzer.checks import day, is_deceased
from shared.analysis import Missing, Told
from shared.identifiers import Kind
from shared.messages import Stage

_ANSWERED: Final = 0.6
_FILLED: Final = 0.4
_STALE: Final = 0.7
_STALE_LEAST: Final = 0.35
_STALE_FALL_S: Final = 90 * 86400

_WEIGHTS: Final[dict[Kind, dict[Stage, int]]] = {
    "cpf": {"telegram": 3, "endereco": 2, "telefone": 2, "cadastro": 3},
    "cnpj": {"cadastro": 5, "endereco": 3, "telefone": 2},
    "cep": {"endereco": 1},
    "telefone": {"telefone": 1},
}
_PLACE: Final = ("cep", "logradouro", "municipio", "uf")
_ESSENTIAL: Final[dict[Kind, dict[Stage, tuple[str, ...]]]] = {
    "cpf": {
        "telegram": ("nome", "nascimento"),
        "endereco": _PLACE,
        "telefone": ("telefones",),
        "cadastro": ("nome", "nascimento", "situacao"),
    },
    "cnpj": {
        "cadastro": ("razao_social", "situacao", "abertura", "natureza_juridica", "cnae"),
        "endereco": _PLACE,
        "telefone": ("telefones",),
    },
    "cep": {"endereco": _PLACE},
    "telefone": {"telefone": ("telefones",)},
}
_SMALL_WORDS: Final = frozenset({"da", "das", "de", "do", "dos", "e"})
_PHONE_TYPES: Final = {"movel": " móvel", "fixo": " fixo"}


def completeness(kind: Kind, profile: Mapping[str, Told], steps: Mapping[Stage, Step]) -> float:
    """How complete the result is, 0..1 with two decimals; 0 if no stage was asked for."""
    weights = {stage: _WEIGHTS[kind].get(stage, 1) for stage in steps}
    if not weights:
        return 0.0
    points = sum(weights[stage] * _points(step) for stage, step in steps.items())
    essential = {about for stage in steps for about in _ESSENTIAL[kind].get(stage, ())}
    filled = len(essential & profile.keys()) / max(1, len(essential))
    return round(_ANSWERED * points / sum(weights.values()) + _FILLED * filled, 2)


def _points(step: Step) -> float:
    if not step.is_answered:
        return 0.0
    if step.outcome != "degradado":
        return 1.0
    sunk = (_STALE - _STALE_LEAST) * min(1.0, step.age_s / _STALE_FALL_S)
    return _STALE - sunk


def missing(steps: Mapping[Stage, Step]) -> list[Missing]:
    """The stages that gave no answer."""
    return [
        Missing(stage=stage, outcome=step.outcome)
        for stage, step in steps.items()
        if not step.is_answered
    ]


def summary(
    kind: Kind, profile: Mapping[str, Told], steps: Mapping[Stage, Step], conflicts: int
) -> str:
    """The result in one line, without names, numbers or documents of anybody."""
    if not steps:
        return "Nenhuma etapa foi consultada."
    answered = sum(step.is_answered for step in steps.values())
    stages = "etapa respondida" if len(steps) == 1 else "etapas respondidas"
    count = f"{answered} de {len(steps)} {stages}"
    if not profile:
        return f"{'Nada encontrado' if answered else 'Sem resposta das fontes'}; {count}."
    values = {about: told.value for about, told in profile.items()}
    agreement = {0: "nenhum conflito", 1: "1 conflito"}.get(conflicts, f"{conflicts} conflitos")
    return f"{_SUBJECTS[kind](values)}; {count}, {agreement}."


def _company(values: Mapping[str, Any]) -> str:
    status = f" {values['situacao'][:40].lower()}" if "situacao" in values else ""
    founded = day(values.get("abertura", ""))
    since = f", aberta em {founded.year}" if founded else ""
    return f"Empresa{status}{_place(values)}{since}"


def _person(values: Mapping[str, Any]) -> str:
    count = len(values.get("telefones", []))
    phones = {0: "", 1: ", 1 telefone"}.get(count, f", {count} telefones")
    word = "Pessoa falecida" if is_deceased(values) else "Pessoa"
    name = "" if "nome" in values else " sem nome informado"
    return f"{word}{name}{_place(values)}{phones}"


def _cep(values: Mapping[str, Any]) -> str:
    return f"CEP{_place(values) or ' sem município informado'}"


def _phone(values: Mapping[str, Any]) -> str:
    phone: dict[str, Any] = next(iter(values.get("telefones", [])), {})
    area = f" do DDD {phone['ddd'][:3]}" if "ddd" in phone else ""
    state = f" ({phone['uf'][:20]})" if "uf" in phone else ""
    return f"Telefone{_PHONE_TYPES.get(phone.get('tipo', ''), '')}{area}{state}"


_SUBJECTS: Final = {"cnpj": _company, "cpf": _person, "cep": _cep, "telefone": _phone}


def _place(values: Mapping[str, Any]) -> str:
    parts = [_titled(values.get("municipio", "")[:60]), values.get("uf", "")[:20]]
    place = "/".join(part for part in parts if part)
    return f" em {place}" if place else ""


def _titled(name: str) -> str:
    """Registries shout; a sentence does not."""
    if not name.isupper():
        return name
    words = name.lower().split()
    return " ".join(word if word in _SMALL_WORDS else word.capitalize() for word in words)
