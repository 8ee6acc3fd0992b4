"""What a reader of a result should notice: findings about the merged profile and its stages.

Each check is a generator of its own, so that one more is one more function in `_CHECKS`. A check
with nothing to go by says nothing. Messages carry no identifier of a person.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from analyzer.analysis import Step
from shared.analysis import Finding, Severity, Told
from shared.identifiers import Kind
from shared.messages import Outcome, Stage

STAGE_NAMES: Final[dict[Stage, str]] = {
    "telegram": "telegram",
    "endereco": "endereço",
    "telefone": "telefone",
    "cadastro": "cadastro",
}
_REASONS: Final[dict[Outcome, str]] = {
    "nao_confirmado": "a fonte disse que não encontrou, mas pode estar com falha",
    "degradado": "só havia uma resposta degradada, sem dados",
    "bloqueado": "a fonte recusou a consulta",
    "limitado": "o limite de consultas da fonte foi atingido",
    "indisponivel": "a fonte está indisponível",
    "nao_configurado": "nenhuma fonte está configurada",
    "expirado": "o prazo acabou antes da resposta",
    "cancelado": "a consulta foi cancelada",
}
# Nobody has to look into these: it was somebody's choice.
_CHOSEN: Final = frozenset({"nao_configurado", "cancelado"})
_SEVERITIES: Final[tuple[Severity, ...]] = ("alerta", "atencao", "info")
_OLDEST_YEARS: Final = 120
# The public registry is published monthly, and its mirrors follow within weeks.
_OLD_SOURCE_DAYS: Final = 180
# Area code 61 is Brasília's and that of the towns of Goiás around it, 42 crosses the river
# between União da Vitória and Porto União.
_SHARED_CODES: Final = {"61": {"DF", "GO"}, "42": {"PR", "SC"}}


@dataclass(frozen=True)
class _Case:
    kind: Kind
    profile: Mapping[str, Told]
    steps: Mapping[Stage, Step]
    today: date

    def text(self, about: str) -> str:
        """A field of the profile, "" if it is not told or is no text."""
        told = self.profile.get(about)
        return told.value if told is not None and isinstance(told.value, str) else ""

    def data(self, stage: Stage) -> dict[str, Any]:
        return self.steps[stage].data if stage in self.steps else {}

    @property
    def is_of_deceased(self) -> bool:
        values = {about: told.value for about, told in self.profile.items()}
        return self.kind == "cpf" and is_deceased(values)


def check(
    kind: Kind, profile: Mapping[str, Told], steps: Mapping[Stage, Step], today: date
) -> list[Finding]:
    """All findings, the gravest first."""
    case = _Case(kind, profile, steps, today)
    found = [finding for look in _CHECKS for finding in look(case)]
    found.sort(key=lambda one: (_SEVERITIES.index(one.severity), one.code, one.message))
    return found


def day(text: str) -> date | None:
    """The date a text begins with as YYYY-MM-DD; None if there is none."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def is_deceased(values: Mapping[str, Any]) -> bool:
    """Whether a person's profile tells of their death."""
    return "obito" in values or "falecid" in values.get("situacao", "").casefold()


def _status(case: _Case) -> Iterator[Finding]:
    status = case.text("situacao")
    if not status or case.is_of_deceased:
        return
    shown = status[:60]
    if case.kind == "cnpj" and status.casefold() != "ativa":
        yield _finding("alerta", "empresa_nao_ativa", f"A situação cadastral é “{shown}”.")
    if case.kind == "cpf" and status.casefold() != "regular":
        yield _finding("alerta", "cpf_nao_regular", f"A situação do CPF é “{shown}”.")


def _death(case: _Case) -> Iterator[Finding]:
    if case.is_of_deceased:
        year = case.text("obito")[:4]
        when = f" em {year}" if year.isdecimal() else ""
        yield _finding("alerta", "pessoa_falecida", f"Consta o óbito da pessoa{when}.")


def _birth(case: _Case) -> Iterator[Finding]:
    text = case.text("nascimento")
    born = day(text)
    if not text:
        return
    if born is None:
        yield _finding("atencao", "nascimento_invalido", "A data de nascimento não existe.")
    elif born > case.today:
        yield _finding("atencao", "nascimento_futuro", "A data de nascimento está no futuro.")
    elif case.today.year - born.year > _OLDEST_YEARS and not case.is_of_deceased:
        message = f"A data de nascimento daria mais de {_OLDEST_YEARS} anos."
        yield _finding("atencao", "nascimento_improvavel", message)
    elif _years(born, case.today) < 18:
        message = "A pessoa é menor de idade: seus dados pedem cuidado especial (LGPD, art. 14)."
        yield _finding("atencao", "menor_de_idade", message)
    died = case.text("obito")[:4]
    if born is not None and died.isdecimal() and int(died) < born.year:
        yield _finding("alerta", "obito_antes_do_nascimento", "O óbito é anterior ao nascimento.")


def _years(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _founding(case: _Case) -> Iterator[Finding]:
    text = case.text("abertura")
    founded = day(text)
    if text and founded is None:
        yield _finding("atencao", "abertura_invalida", "A data de abertura não existe.")
    elif founded is not None and founded > case.today:
        yield _finding("atencao", "abertura_futura", "A data de abertura está no futuro.")


def _places(case: _Case) -> Iterator[Finding]:
    registered = case.data("cadastro").get("endereco", {})
    of_cep, of_entry = case.data("endereco").get("uf"), registered.get("uf")
    if of_cep and of_entry and of_cep.casefold() != of_entry.casefold():
        message = f"O endereço fica em {of_cep[:20]}, mas o cadastro diz {of_entry[:20]}."
        yield _finding("atencao", "uf_divergente", message)
    step = case.steps.get("endereco")
    if step is not None and step.outcome == "nao_encontrado" and registered.get("cep"):
        yield _finding("atencao", "cep_nao_encontrado", "O CEP do cadastro não foi encontrado.")


def _phones(case: _Case) -> Iterator[Finding]:
    state = case.text("uf").upper()
    phones = [phone for phone in case.data("telefone").get("numeros", []) if phone.get("uf")]
    if not state or not phones or any(_may_be_in(phone, state, case) for phone in phones):
        return
    # A mobile moves with its owner, a landline does not.
    severity: Severity = "atencao" if any(p["tipo"] == "fixo" for p in phones) else "info"
    codes = ", ".join(sorted({phone["ddd"][:3] for phone in phones})[:5])
    message = f"Nenhum telefone é do estado do endereço, {state[:20]} (DDD {codes})."
    yield _finding(severity, "ddd_de_outra_uf", message)


def _may_be_in(phone: Mapping[str, Any], state: str, case: _Case) -> bool:
    shared = _SHARED_CODES.get(phone["ddd"], set())
    told = case.data("telefone").get("cidades", {}).get(phone["ddd"], [])
    cities = {city.casefold() for city in told}
    return (
        phone["uf"].upper() == state
        or state in shared
        or case.text("municipio").casefold() in cities
    )


def _sources(case: _Case) -> Iterator[Finding]:
    for stage, step in case.steps.items():
        name = STAGE_NAMES[stage]
        if not step.is_answered:
            severity: Severity = "info" if step.outcome in _CHOSEN else "atencao"
            reason = _REASONS.get(step.outcome, "sem motivo informado")
            message = f"A etapa {name} ficou sem resposta: {reason}."
            yield _finding(severity, "etapa_sem_resposta", message)
        elif step.outcome == "degradado":
            message = (
                f"A etapa {name} usa dados guardados {_ago(step.age_s)}, talvez desatualizados."
            )
            yield _finding("atencao", "dados_degradados", message)
        updated = day(step.data.get("atualizado_em", ""))
        if updated is not None and (case.today - updated).days > _OLD_SOURCE_DAYS:
            message = f"A fonte da etapa {name} é de {updated:%d/%m/%Y}."
            yield _finding("info", "fonte_antiga", message)


def _ago(seconds: int) -> str:
    for unit, plural, length in (("dia", "dias", 86400), ("hora", "horas", 3600)):
        count = seconds // length
        if count:
            return f"há {count} {unit if count == 1 else plural}"
    return "há menos de uma hora"


def _finding(severity: Severity, code: str, message: str) -> Finding:
    return Finding(code=code, severity=severity, message=message)


_CHECKS: Final[tuple[Callable[[_Case], Iterator[Finding]], ...]] = (
    _status,
    _death,
    _birth,
    _founding,
    _places,
    _phones,
    _sources,
)
