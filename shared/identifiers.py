"""Brazilian identifiers: cpf, cnpj, cep, telefone, brought to one spelling each.

Stricter than the libraries beneath. python-stdnum accepts uniform digits, any placing of the
separators and non-ASCII digits; phonenumbers accepts letters, foreign numbers and landlines of
area codes that do not exist. So the shape is matched here first, and the libraries then judge
what they are good at: check digits and numbering plans.
"""

import re
from collections.abc import Callable
from operator import mul
from typing import Final, Literal, get_args

import phonenumbers
from msgspec import Struct
from stdnum.br import cnpj as stdnum_cnpj

from shared.domain.area_codes import AREA_CODES
from shared.errors import InvalidInput

Kind = Literal["cpf", "cnpj", "cep", "telefone"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

MAX_LENGTH: Final = 32

# By the ninth digit: the fiscal region of Receita Federal a cpf was issued in.
_FISCAL_REGIONS: Final[dict[str, tuple[str, ...]]] = {
    "1": ("DF", "GO", "MS", "MT", "TO"),
    "2": ("AC", "AM", "AP", "PA", "RO", "RR"),
    "3": ("CE", "MA", "PI"),
    "4": ("AL", "PB", "PE", "RN"),
    "5": ("BA", "SE"),
    "6": ("MG",),
    "7": ("ES", "RJ"),
    "8": ("SP",),
    "9": ("PR", "SC"),
    "0": ("RS",),
}

_CPF: Final = re.compile(r"[0-9]{9,11}|0[0-9]{11}|[0-9]{3}(?:\.[0-9]{3}){2}-[0-9]{2}")
_CNPJ: Final = re.compile(
    r"[0-9]{12,13}|[0-9A-Z]{12}[0-9]{2}|[0-9A-Z]{2}(?:\.[0-9A-Z]{3}){2}/[0-9A-Z]{4}-[0-9]{2}"
)
_CEP: Final = re.compile(r"[0-9]{7,8}|[0-9]{5}-[0-9]{3}")
_PHONE: Final = re.compile(
    r"(?:\+?55[ -]?)?(?:\(0?(?P<ddd>[0-9]{2})\)|0?(?P<bare_ddd>[0-9]{2}))[ -]?"
    r"(?:(?P<mobile>9)[ -]?(?P<head9>[0-9]{4})|(?P<head8>[2-5][0-9]{3}))[ -]?(?P<tail>[0-9]{4})"
)
# What each of the first nine digits of a cpf counts in its two check digits.
_FIRST: Final = range(10, 1, -1)
_SECOND: Final = range(11, 2, -1)
_SEPARATORS: Final = str.maketrans("", "", ".-/")


class Identifier(Struct, frozen=True):
    """A checked identifier in its one spelling.

    `value` is bare: 11 digits of a cpf, 14 digits or capitals of a cnpj, 8 digits of a cep,
    E.164 (`+55…`) of a telefone. It is personal data, so it does not show in a repr.
    """

    kind: Kind
    value: str

    def __repr__(self) -> str:
        return f"Identifier({self.kind}, ***)"


def parse(kind: str, raw: object) -> Identifier:
    """Check an identifier and bring it to its one spelling.

    Only the bare form and the exact usual mask are taken, with white space around them; leading
    zeros that a spreadsheet dropped are restored.

    Args:
        kind: one of `KINDS`; never guessed, since one mobile in a hundred is a valid cpf.
        raw: what the asker sent, of any type.

    Raises:
        InvalidInput: of the field `tipo` or `identificador`, with the mend, without the value.
    """
    for known in KINDS:
        if kind == known:
            return Identifier(known, _PARSERS[known](_text(raw)))
    raise InvalidInput("tipo", "deve ser cpf, cnpj, cep ou telefone")


def fiscal_region(cpf: str) -> tuple[str, ...]:
    """The states (UF) of the fiscal region that issued a normalised cpf, by its ninth digit."""
    return _FISCAL_REGIONS[cpf[8]]


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise _invalid("deve ser um texto, entre aspas")
    text = raw.strip()
    if not text:
        raise _invalid("está vazio; informe o número, com ou sem máscara")
    if len(text) > MAX_LENGTH:
        raise _invalid(f"tem mais de {MAX_LENGTH} caracteres; informe um só número")
    if not text.isascii():
        raise _invalid("tem caracteres fora do comum; use algarismos de 0 a 9, sem acentos")
    return text


def _cpf(text: str) -> str:
    if not _CPF.fullmatch(text):
        raise _invalid("deve ter os 11 dígitos do CPF, sem máscara ou como 000.000.000-00")
    value = text.translate(_SEPARATORS)[-11:].zfill(11)
    _refuse_uniform(value)
    if _check_digits(value[:9]) != value[9:]:
        raise _invalid("tem dígitos verificadores que não conferem; revise o CPF")
    return value


def _check_digits(stem: str) -> str:
    """The last two of a cpf. Every lookup of a person asks for them, so they are reckoned here."""
    first = sum(map(mul, _FIRST, map(int, stem))) * 10 % 11 % 10
    second = (sum(map(mul, _SECOND, map(int, stem))) + 2 * first) * 10 % 11 % 10
    return f"{first}{second}"


def _cnpj(text: str) -> str:
    text = text.upper()
    if not _CNPJ.fullmatch(text):
        raise _invalid("deve ter os 14 caracteres do CNPJ, sem máscara ou como 00.000.000/0000-00")
    value = text.translate(_SEPARATORS).zfill(14)
    _refuse_uniform(value)
    if not stdnum_cnpj.is_valid(value):
        raise _invalid("tem dígitos verificadores que não conferem; revise o CNPJ")
    return value


def _cep(text: str) -> str:
    if not _CEP.fullmatch(text):
        raise _invalid("deve ter os 8 dígitos do CEP, sem máscara ou como 00000-000")
    value = text.translate(_SEPARATORS).zfill(8)
    _refuse_uniform(value)
    if value < "01000000":
        raise _invalid("está abaixo de 01000-000, o primeiro CEP; revise o número")
    return value


def _phone(text: str) -> str:
    if text.startswith("+") and not text.startswith("+55"):
        raise _invalid("deve ser um telefone do Brasil (+55)")
    match = _PHONE.fullmatch(text)
    if not match:
        raise _invalid("deve ser um telefone com DDD, como (00) 90000-0000, fixo ou celular")
    ddd = match["ddd"] or match["bare_ddd"]
    if ddd not in AREA_CODES:
        raise _invalid("tem um DDD que não existe; revise os dois primeiros dígitos")
    national = ddd + (match["mobile"] or "") + (match["head9"] or match["head8"]) + match["tail"]
    _refuse_uniform(national)
    # The country code is put in front here: left to guess, the library takes DDD 55 for it.
    value = f"+55{national}"
    if not phonenumbers.is_valid_number(phonenumbers.parse(value)):
        raise _invalid("não é um telefone em uso no Brasil; revise o número")
    return value


_PARSERS: Final[dict[Kind, Callable[[str], str]]] = {
    "cpf": _cpf,
    "cnpj": _cnpj,
    "cep": _cep,
    "telefone": _phone,
}


def _refuse_uniform(value: str) -> None:
    if len(set(value)) == 1:
        raise _invalid("repete um só dígito, o que nenhum número válido faz; revise o número")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput("identificador", message)
