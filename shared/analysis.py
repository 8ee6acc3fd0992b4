"""The result of an analysis, as the wire has it: the analyzer makes it, the API documents it."""

from typing import Any, Literal

from msgspec import Struct, field

from shared.messages import Outcome, Stage

Severity = Literal["info", "atencao", "alerta"]


class Version(Struct, kw_only=True, frozen=True):
    """What one stage says a field is, and the provider it has that from."""

    value: Any = field(name="valor")
    source: str | None = field(name="origem")
    stage: Stage = field(name="etapa")


class Told(Version, kw_only=True, frozen=True):
    """The version that the profile goes by. `age_s` is in seconds, 0 if told just now."""

    age_s: int = field(name="idade_s")


class Conflict(Struct, kw_only=True, frozen=True):
    """A field that stages disagree about; the version in the profile comes first."""

    about: str = field(name="campo")
    versions: list[Version] = field(name="valores")


class Finding(Struct, kw_only=True, frozen=True):
    """Something a reader of the result should notice. The message is for people, in pt-BR."""

    code: str = field(name="codigo")
    severity: Severity = field(name="gravidade")
    message: str = field(name="mensagem")


class Missing(Struct, kw_only=True, frozen=True):
    """A stage that gave no answer, and why."""

    stage: Stage = field(name="etapa")
    outcome: Outcome = field(name="situacao")


class Analysis(Struct, kw_only=True, frozen=True):
    """One result made of all stages: the `dados` of `analysis`.

    `completeness` is 0..1, see `analyzer.score`.
    """

    profile: dict[str, Told] = field(name="perfil")
    conflicts: list[Conflict] = field(name="conflitos")
    findings: list[Finding] = field(name="achados")
    completeness: float = field(name="completude")
    missing: list[Missing] = field(name="faltando")
    summary: str = field(name="resumo")
