"""The parts of a company's entry that every publisher of the registry hands out alike.

They all republish the open data of Receita Federal, under the field names of its CSV layout, and
differ in the wording and in the types.
"""

import re
from typing import Any, Final

from enricher.failures import Malformed
from enricher.providers.fields import Fields, date, digits, objects, text
from shared.records import Activity, Address, Partner, Registration

# A piece of each wording -> the one word used here.
_SIZES: Final = {
    "MICRO": "Microempresa",
    "PEQUENO PORTE": "Empresa de pequeno porte",
    "DEMAIS": "Demais",
}


def complete(record: Registration) -> Registration:
    """The record, if it says who or in what state the company is.

    Raises:
        Malformed: neither.
    """
    if not (record.name or record.status):
        raise Malformed("an entry without name and status")
    return record


def size(value: Any) -> str | None:
    """The sources' "MICRO EMPRESA" and "Microempresa (ME)" are one size; what is unsaid is None."""
    found = (text(value) or "").upper()
    return next((word for piece, word in _SIZES.items() if piece in found), None)


def activity(code: Any, description: Any = None) -> Activity | None:
    """A CNAE, from a number or a string."""
    found = digits(code, 7)
    return Activity(code=found, description=text(description)) if found else None


def address(said: Fields, *, street_type: str, ibge: str = "") -> Address | None:
    """The address; `street_type` and `ibge` are the names of the fields publishers differ in."""
    kind, name = text(said.get(street_type)), text(said.get("logradouro"))
    record = Address(
        cep=digits(said.get("cep"), 8),
        street=" ".join(part for part in (kind, name) if part) or None,
        number=text(said.get("numero")),
        complement=text(said.get("complemento")),
        district=text(said.get("bairro")),
        city=text(said.get("municipio")),
        state=text(said.get("uf")),
        ibge=digits(said.get(ibge), 7),
    )
    return None if record == Address() else record


def phone(*parts: Any) -> str | None:
    """Area code and number as bare digits, without the zero that trunk calls begin with."""
    return "".join(digits(part) or "" for part in parts).lstrip("0") or None


def company_name(value: Any) -> str | None:
    """The registered name, without the CPF in which those of sole traders used to end."""
    return re.sub(r"\s*\b\d{11}$", "", text(value) or "") or None


def email(value: Any) -> str | None:
    """An e-mail address; some publishers have it in capitals."""
    return (text(value) or "").lower() or None


def partners(value: Any) -> list[Partner]:
    """Who owns or runs the company; their documents stay behind."""
    return [
        Partner(
            name=name,
            role=text(entry.get("qualificacao_socio")),
            since=date(entry.get("data_entrada_sociedade")),
        )
        for entry in objects(value)
        if (name := text(entry.get("nome_socio")))
    ]
