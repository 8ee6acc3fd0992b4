"""Addresses: any CEP has one, in the city its range belongs to."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from enricher.simulator.cities import CITIES, City
from enricher.simulator.draw import Draw

_STREETS: Final = (
    ("Rua", "Quinze de Novembro"),
    ("Rua", "Sete de Setembro"),
    ("Rua", "Marechal Deodoro"),
    ("Rua", "Tiradentes"),
    ("Rua", "Dom Pedro II"),
    ("Rua", "José Bonifácio"),
    ("Rua", "das Acácias"),
    ("Rua", "das Palmeiras"),
    ("Rua", "São João"),
    ("Rua", "Santo Antônio"),
    ("Rua", "Rui Barbosa"),
    ("Rua", "Castro Alves"),
    ("Avenida", "Getúlio Vargas"),
    ("Avenida", "Brasil"),
    ("Avenida", "Presidente Kennedy"),
    ("Avenida", "Santos Dumont"),
    ("Avenida", "Juscelino Kubitschek"),
    ("Travessa", "da Liberdade"),
    ("Praça", "da Matriz"),
    ("Alameda", "dos Ipês"),
)
_DISTRICTS: Final = (
    "Centro",
    "Jardim América",
    "Boa Vista",
    "Vila Nova",
    "Santa Cruz",
    "São José",
    "Bela Vista",
    "Industrial",
    "Nossa Senhora das Graças",
    "Parque das Nações",
    "Alto da Glória",
    "Cidade Nova",
)
_STARTS: Final = tuple(city.first for city in CITIES)


class Address(NamedTuple):
    """What a CEP stands for; `cep` is 8 digits."""

    cep: str
    street_type: str
    street_name: str
    complement: str
    district: str
    city: City

    @property
    def street(self) -> str:
        return f"{self.street_type} {self.street_name}"

    @property
    def masked(self) -> str:
        return f"{self.cep[:5]}-{self.cep[5:]}"


def address(cep: str) -> Address | None:
    """The address of 8 digits, or None for those no provider knows."""
    city = CITIES[max(0, bisect_right(_STARTS, int(cep[:5])) - 1)]
    if cep.endswith("999") or int(cep[:5]) < city.first:
        return None
    if cep == "01001000":
        return Address(cep, "Praça", "da Sé", "lado ímpar", "Sé", city)
    draw = Draw(f"cep:{cep}")
    kind, name = draw.pick(_STREETS)
    return Address(cep, kind, name, "", draw.pick(_DISTRICTS), city)


def draw_address(draw: Draw, ufs: Sequence[str] = ()) -> Address:
    """Some address, in one of these states."""
    city = draw.pick([city for city in CITIES if city.uf in ufs] if ufs else CITIES)
    # No more than a hundred numbers on, where the next city cannot have begun yet.
    found = address(f"{city.first + draw.below(100):05d}{draw.below(99) * 10:03d}")
    assert found is not None  # noqa: S101 - the last digit is 0
    return found


def cities_of(ddd: str) -> list[City]:
    """The cities of an area code, each once."""
    return list({city.ibge: city for city in CITIES if city.ddd == ddd}.values())
