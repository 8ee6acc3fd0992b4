"""Invented people, by their cpf."""

import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

from enricher.simulator.draw import Draw
from enricher.simulator.places import Address, draw_address
from shared.identifiers import fiscal_region


def _words(text: str) -> Sequence[str]:
    return tuple(text.split())


_FIRST_NAMES: Final = {
    "F": _words(
        "Maria Ana Juliana Fernanda Patrícia Adriana Camila Beatriz Larissa Letícia Mariana "
        "Gabriela Luciana Sandra Márcia Renata Vanessa Aline Cláudia Simone Helena Alice Sônia"
    ),
    "M": _words(
        "José João Antônio Carlos Paulo Pedro Lucas Luiz Marcos Rafael Gabriel Daniel Bruno "
        "Eduardo Rodrigo Felipe Gustavo André Fernando Fábio Leonardo Tiago Sérgio Vinícius"
    ),
}
_SURNAMES: Final = _words(
    "Silva Santos Oliveira Souza Lima Pereira Ferreira Costa Rodrigues Almeida Nascimento "
    "Carvalho Araújo Ribeiro Gomes Martins Barbosa Rocha Cardoso Teixeira Moreira Correia "
    "Cavalcanti Mendes Freitas Vieira Monteiro Campos Batista Duarte"
)

UNKNOWN: Final = "404"
MINOR: Final = "422"
PARTIAL: Final = "206"


class Person(NamedTuple):
    """`born` is YYYY-MM-DD, `phones` are E.164, `status` is a code of Receita Federal."""

    cpf: str
    name: str
    sex: str
    born: str
    user: str | None
    address: Address
    number: str
    complement: str
    phones: list[str]
    status: str
    died: str | None


def person(cpf: str) -> Person | None:
    """The person of 11 digits, or None for those no provider knows."""
    if cpf.startswith(UNKNOWN):
        return None
    draw = Draw(f"cpf:{cpf}")
    name, sex = draw_name(draw)
    minor = cpf.startswith(MINOR)
    born = draw.date(2015, 2020) if minor else draw.date(1940, 2004)
    user = f"@{plain(name.split()[0])}_{plain(name.split()[-1])}{draw.digits(3)}".lower()
    home = draw_address(draw, fiscal_region(cpf))
    status = "0" if minor else draw.pick("0" * 24 + "234589")
    return Person(
        cpf=cpf,
        name=name,
        sex=sex,
        born=born,
        user=user if draw.below(8) else None,
        address=home,
        number=str(1 + draw.below(2999)),
        complement=draw.pick(("", "", "", f"Apto {11 + draw.below(180)}", "Casa 2", "Fundos")),
        phones=[draw_mobile(draw, home.city.ddd) for _ in range(1 + draw.below(3))],
        status=status,
        died=str(2010 + draw.below(15)) if status == "3" else None,
    )


def draw_name(draw: Draw) -> tuple[str, str]:
    """A full name and its sex, F or M."""
    sex = draw.pick("FM")
    first, middle, last = draw.pick(_FIRST_NAMES[sex]), draw.pick(_SURNAMES), draw.pick(_SURNAMES)
    joint = draw.pick((" ", " ", " da ", " de "))
    return f"{first} {middle}{joint}{last}", sex


def draw_mobile(draw: Draw, ddd: str) -> str:
    """A mobile in E.164."""
    return f"+55{ddd}9{6 + draw.below(4)}{draw.digits(7)}"


def draw_surname(draw: Draw) -> str:
    """A surname."""
    return draw.pick(_SURNAMES)


def plain(text: str) -> str:
    """Without accents, as Receita Federal and handles write."""
    split = unicodedata.normalize("NFD", text)
    return "".join(sign for sign in split if not unicodedata.combining(sign))
