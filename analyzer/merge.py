"""One result out of the stages of a flight: each field once, with the source that told it.

Nothing here raises for odd data. A provider's slip costs the field it is in, not the result, and
the order in which the stages ended changes nothing.
"""

import math
import re
import types
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from functools import cache, partial
from itertools import combinations
from typing import Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct

from analyzer.analysis import Step
from analyzer.checks import check
from analyzer.score import completeness, missing, summary
from shared.analysis import Analysis, Conflict, Told, Version
from shared.identifiers import Kind
from shared.messages import STAGES, Event, Stage
from shared.records import RECORDS, Address
from shared.stages import derived

_encoder: Final = msgspec.json.Encoder(order="sorted", enc_hook=str)
# msgspec finds them anew at each call.
_fields_of: Final = cache(msgspec.structs.fields)
_ADDRESS: Final = frozenset(
    about.encode_name for about in _fields_of(Address) if about.name != "updated"
)
# Whose word counts where two stages tell the same field; the registration's for all others.
_AUTHORITY: Final[dict[str, Stage]] = {
    **dict.fromkeys(_ADDRESS, "endereco"),
    "telefones": "telefone",
}
# A company's address is looked up by its CEP, and what a CEP tells of these is about the whole
# street ("lado ímpar"), not about the company.
_OWN: Final = frozenset({"numero", "complemento"})

# Texts in which whole words may be left out without saying anything else.
_WORDED: Final = frozenset({"nome", "logradouro", "bairro"})
_PARTICLES: Final = frozenset({"de", "da", "do", "das", "dos", "e", "d"})
_TYPES: Final = {
    "r": "rua",
    "av": "avenida",
    "al": "alameda",
    "tv": "travessa",
    "trav": "travessa",
    "pc": "praca",
    "pca": "praca",
    "lgo": "largo",
    "est": "estrada",
    "estr": "estrada",
    "rod": "rodovia",
    "vl": "vila",
    "jd": "jardim",
    "jrd": "jardim",
    "pq": "parque",
    "pque": "parque",
    "cj": "conjunto",
    "res": "residencial",
}
_TITLES: Final = {
    "dr": "doutor",
    "dra": "doutora",
    "prof": "professor",
    "profa": "professora",
    "eng": "engenheiro",
    "cel": "coronel",
    "cap": "capitao",
    "gen": "general",
    "gal": "general",
    "mal": "marechal",
    "brig": "brigadeiro",
    "pres": "presidente",
    "sen": "senador",
    "dep": "deputado",
    "ver": "vereador",
    "pe": "padre",
    "sta": "santa",
    "sto": "santo",
}


def analyze(kind: Kind, events: Sequence[Event], today: date) -> Analysis:
    """Make one result of the stages of a flight.

    Args:
        kind: what the flight looked up.
        events: the flight's events in any order; those that end no stage are passed over. The
            stages that were asked for are those that have an event here.
        today: the date that births, foundings and the age of sources are judged by.
    """
    steps = _steps(events)
    told = _told(kind, steps.values())
    profile = {about: versions[0] for about, versions in sorted(told.items())}
    conflicts = _conflicts(told)
    return Analysis(
        profile=profile,
        conflicts=conflicts,
        findings=check(kind, profile, steps, today),
        completeness=completeness(kind, profile, steps),
        missing=missing(steps),
        summary=summary(kind, profile, steps, len(conflicts)),
    )


def _steps(events: Iterable[Event]) -> dict[Stage, Step]:
    """The stages in their usual order. If one ended twice, its latest event counts."""
    last: dict[str, Event] = {}
    for event in sorted(events, key=_moment):
        last[event.type] = event
    return {stage: _step(stage, last[stage]) for stage in STAGES if stage in last}


def _moment(event: Event) -> tuple[str, bytes]:
    # The text settles the order of two events of the same microsecond.
    return event.timestamp, _encoder.encode(event)


def _step(stage: Stage, event: Event) -> Step:
    # An event that does not say how its stage ended vouches for nothing.
    outcome = "indisponivel" if event.outcome is UNSET else event.outcome
    data = _record(RECORDS[stage], event.data) if Step.tells(outcome) else None
    return Step(
        stage=stage,
        outcome=outcome,
        source=None if event.source is UNSET else event.source,
        age_s=0 if event.age_s is UNSET else max(0, event.age_s),
        data=data or {},
    )


def _record(record: type[Struct], data: object) -> dict[str, Any] | None:
    """The fields of a record that are told; None if one that it cannot do without is not."""
    if not isinstance(data, Mapping):
        return None
    told = {}
    for about in _fields_of(record):
        value = _value(about.type, data.get(about.encode_name))
        if value is not None:
            told[about.encode_name] = value
        elif about.required:
            return None
    return told or None


def _value(wanted: Any, value: object) -> Any:
    """The value if it is of the wanted type and says anything, else None."""
    if get_origin(wanted) in {types.UnionType, Union}:
        wanted = next(part for part in get_args(wanted) if part is not types.NoneType)
    if get_origin(wanted) is list:
        of = get_args(wanted)[0]
        items = [_value(of, item) for item in value] if isinstance(value, list) else []
        return [item for item in items if item is not None] or None
    if get_origin(wanted) is dict:
        of = get_args(wanted)[1]
        named = value.items() if isinstance(value, Mapping) else []
        told = {_value(str, name): _value(of, item) for name, item in named}
        return {name: item for name, item in told.items() if name and item is not None} or None
    if issubclass(wanted, Struct):
        return _record(wanted, value)
    if wanted is float:
        return _number(value)
    if wanted is str and isinstance(value, str):
        # Control characters would let a provider's text rewrite a terminal that shows it.
        shown = "".join(char if char.isprintable() else " " for char in value)
        return " ".join(shown.split()) or None
    return value if wanted is bool and isinstance(value, bool) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _told(kind: Kind, steps: Collection[Step]) -> dict[str, list[Told]]:
    """Every version of every field, the one to go by first."""
    told: dict[str, list[Told]] = {}
    for step in steps:
        for about, value in _fields(kind, step).items():
            version = Told(value=value, source=step.source, stage=step.stage, age_s=step.age_s)
            told.setdefault(about, []).append(version)
    degraded = {step.stage for step in steps if step.outcome == "degradado"}
    for about, versions in told.items():
        versions.sort(key=partial(_rank, about, degraded))
    return told


def _rank(about: str, degraded: Collection[Stage], version: Told) -> tuple[bool, bool, int, str]:
    """Good data before stale data, then the stage whose word counts, then the fresher."""
    is_other = version.stage != _AUTHORITY.get(about, "cadastro")
    return version.stage in degraded, is_other, version.age_s, version.stage


def _fields(kind: Kind, step: Step) -> dict[str, Any]:
    """A stage's data under the names of the profile."""
    if step.stage == "telefone":
        return {"telefones": step.data["numeros"]} if step.data else {}
    if step.stage != "cadastro":
        # When its data is from is about the stage: two stages with two dates do not disagree.
        foreign = _OWN if step.stage == "endereco" and kind == "cnpj" else frozenset()
        return _except(step.data, {"atualizado_em", *foreign})
    own = _except(step.data, {"endereco", "telefones"})
    if kind == "cnpj" and "nome" in own:
        own["razao_social"] = own.pop("nome")
    numbers = derived("telefone", step.data).values
    phones = {"telefones": [{"numero": number} for number in numbers]} if numbers else {}
    return {**_except(step.data.get("endereco", {}), {"atualizado_em"}), **own, **phones}


def _except(data: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}


def _conflicts(told: Mapping[str, list[Told]]) -> list[Conflict]:
    return [
        Conflict(
            about=about,
            versions=[Version(value=v.value, source=v.source, stage=v.stage) for v in versions],
        )
        for about, versions in sorted(told.items())
        if any(disagree(about, one.value, other.value) for one, other in combinations(versions, 2))
    ]


def disagree(about: str, one: object, other: object) -> bool:
    """Whether two versions of a field cannot both be right.

    Spelling is no disagreement: case, accents, punctuation, leading zeros, and in names and
    streets abbreviations and words left out. Nor do lists disagree, since they add up.
    """
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    if about in _WORDED:
        short, long = sorted((_words(about, one), _words(about, other)), key=len)
        rest = iter(long)
        return not all(any(_same(about, word, more) for more in rest) for word in short)
    plain, other_plain = ("".join(_plain(text)).lstrip("0") for text in (one, other))
    return bool(plain and other_plain) and plain != other_plain


def _same(about: str, one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    is_initial = about == "nome" and len(short) == 1 and long.startswith(short)
    return one == other or is_initial


def _words(about: str, text: str) -> list[str]:
    words = [word.lstrip("0") or "0" for word in _plain(text)]
    if about != "nome" and words:
        words[0] = _TYPES.get(words[0], words[0])
        words = [_TITLES.get(word, word) for word in words]
    # The last word is never a particle: "Rua E" is a street.
    return [word for word in words[:-1] if word not in _PARTICLES] + words[-1:]


def _plain(text: str) -> list[str]:
    """The words of a text, in lower case and without accents."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return re.findall(
        r"[^\W_]+", "".join(char for char in letters if not unicodedata.combining(char))
    )
