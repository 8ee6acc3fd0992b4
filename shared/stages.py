"""Which stages a lookup goes through, and which of them waits for which."""

from dataclasses import dataclass
from typing import Any, Final

from shared.errors import InvalidInput
from shared.identifiers import Kind, parse
from shared.messages import Event, Outcome, Stage

DEFAULT: Final[dict[Kind, tuple[Stage, ...]]] = {
    "cpf": ("telegram", "endereco", "telefone"),
    "cnpj": ("cadastro", "endereco", "telefone"),
    "cep": ("endereco",),
    "telefone": ("telefone",),
}
# A person's registration is asked for by name: its provider has to be contracted, and bills.
POSSIBLE: Final[dict[Kind, tuple[Stage, ...]]] = {
    **DEFAULT,
    "cpf": ("telegram", "endereco", "telefone", "cadastro"),
}
# A company's address and phones are looked up by the CEP and the numbers of its registration.
_AFTER: Final[dict[tuple[Kind, Stage], Stage]] = {
    ("cnpj", "endereco"): "cadastro",
    ("cnpj", "telefone"): "cadastro",
}


@dataclass(frozen=True)
class Inputs:
    """What a stage looks up: values of one kind, none if there is nothing to go by."""

    kind: Kind
    values: list[str]


def wanted(kind: Kind, asked: list[Stage] | None) -> list[Stage]:
    """The stages of a lookup, those that others wait for first.

    Raises:
        InvalidInput: a stage this kind does not have.
    """
    if asked is None:
        return list(DEFAULT[kind])
    for stage in asked:
        if stage not in POSSIBLE[kind]:
            possible = ", ".join(POSSIBLE[kind])
            raise InvalidInput("etapas", f"para {kind} existem as etapas {possible}")
    needed = {*asked, *(first for stage in asked if (first := _AFTER.get((kind, stage))))}
    ordered = sorted(
        needed, key=lambda stage: ((kind, stage) in _AFTER, POSSIBLE[kind].index(stage))
    )
    return list(ordered)


def waits_for(kind: Kind, stage: Stage) -> Stage | None:
    """The stage whose data this one needs, if any."""
    return _AFTER.get((kind, stage))


def derived(stage: Stage, registration: dict[str, Any] | None) -> Inputs:
    """What a company's registration gives this stage to look up."""
    registration = registration or {}
    if stage == "endereco":
        cep = (registration.get("endereco") or {}).get("cep")
        return Inputs("cep", _valid("cep", [cep] if cep else []))
    return Inputs("telefone", _valid("telefone", registration.get("telefones") or []))


def without(registration: Event) -> Outcome:
    """What a stage with nothing to look up ends as: its registration has none, or is missing."""
    return "nao_encontrado" if registration.outcome in {"ok", "nao_encontrado"} else "indisponivel"


def _valid(kind: Kind, raw: list[str]) -> list[str]:
    """Registries hold what was typed decades ago: what cannot be read is not looked up."""
    values = []
    for text in raw:
        try:
            values.append(parse(kind, text).value)
        except InvalidInput:
            continue
    return list(dict.fromkeys(values))
