"""Invented companies, by their cnpj, spelled as Receita Federal publishes them."""

from typing import Final, NamedTuple

from enricher.simulator.draw import Draw
from enricher.simulator.people import UNKNOWN, draw_mobile, draw_name, draw_surname, plain
from enricher.simulator.places import Address, draw_address

_ACTIVITIES: Final = (
    (4711302, "Comércio varejista de mercadorias em geral, supermercados", "SUPERMERCADOS"),
    (4721102, "Padaria e confeitaria com predominância de revenda", "PANIFICADORA"),
    (4781400, "Comércio varejista de artigos do vestuário e acessórios", "CONFECCOES"),
    (4930202, "Transporte rodoviário de carga, intermunicipal e interestadual", "TRANSPORTES"),
    (5611201, "Restaurantes e similares", "RESTAURANTE"),
    (6201501, "Desenvolvimento de programas de computador sob encomenda", "TECNOLOGIA"),
    (6920601, "Atividades de contabilidade", "CONTABILIDADE"),
    (7112000, "Serviços de engenharia", "ENGENHARIA"),
    (8630503, "Atividade médica ambulatorial restrita a consultas", "CLINICA MEDICA"),
    (4120400, "Construção de edifícios", "CONSTRUTORA"),
)
_STATUSES: Final = ((2, "ATIVA"),) * 9 + ((4, "INAPTA"), (8, "BAIXADA"))
_AGES: Final = ("Entre 21 a 30 anos", "Entre 31 a 40 anos", "Entre 41 a 50 anos")


class Activity(NamedTuple):
    """An economic activity (CNAE)."""

    code: int
    description: str


class Partner(NamedTuple):
    """A partner; `cpf` shows six digits only, `joined` is YYYY-MM-DD."""

    name: str
    cpf: str
    role_code: int
    role: str
    joined: str
    age_code: int
    age: str


class Company(NamedTuple):
    """`phones` are pairs of area code and number, dates YYYY-MM-DD, `capital` in reais."""

    cnpj: str
    name: str
    trade_name: str
    head: bool
    status_code: int
    status: str
    opened: str
    capital: int
    activity: Activity
    others: list[Activity]
    nature_code: int
    nature: str
    size_code: int
    size: str
    simples: bool
    address: Address
    number: str
    complement: str
    phones: list[tuple[str, str]]
    email: str
    partners: list[Partner]


def company(cnpj: str) -> Company | None:
    """The company of 14 characters, or None for those no provider knows."""
    if cnpj.startswith(UNKNOWN):
        return None
    draw = Draw(f"cnpj:{cnpj}")
    code, description, trade = draw.pick(_ACTIVITIES)
    family = plain(draw_surname(draw)).upper()
    size_code, size = draw.pick(
        ((1, "MICRO EMPRESA"), (3, "EMPRESA DE PEQUENO PORTE"), (5, "DEMAIS"))
    )
    opened = draw.date(1980, 2023)
    status_code, status = draw.pick(_STATUSES)
    home = draw_address(draw)
    landline = (home.city.ddd, f"{2 + draw.below(4)}{draw.digits(7)}")
    mobile = (home.city.ddd, draw_mobile(draw, "")[3:])
    return Company(
        cnpj=cnpj,
        name=f"{family} {trade} LTDA",
        trade_name=f"{trade} {family}" if draw.below(4) else "",
        head=cnpj[8:12] == "0001",
        status_code=status_code,
        status=status,
        opened=opened,
        capital=1000 * (1 + draw.below(900)),
        activity=Activity(code, description),
        others=[Activity(*draw.pick(_ACTIVITIES)[:2]) for _ in range(draw.below(3))],
        nature_code=2062,
        nature="Sociedade Empresária Limitada",
        size_code=size_code,
        size=size,
        simples=size_code != 5,
        address=home,
        number=str(1 + draw.below(4999)),
        complement=draw.pick(("", "", "SALA 2", "LOJA A", "ANDAR 5")),
        phones=[landline, mobile] if draw.below(2) else [landline],
        email=f"contato@{family}{draw.digits(2)}.com.br".lower(),
        partners=[_partner(draw, opened) for _ in range(1 + draw.below(3))],
    )


def _partner(draw: Draw, opened: str) -> Partner:
    age = draw.below(len(_AGES))
    return Partner(
        name=plain(draw_name(draw)[0]).upper(),
        cpf=f"***{draw.digits(6)}**",
        role_code=49,
        role="Sócio-Administrador",
        joined=opened,
        age_code=3 + age,
        age=_AGES[age],
    )
