"""What a stage finds out, in one shape whatever provider told it: the `dados` of its event.

Every field may be missing. Providers' fields that no stage needs are not here, so they are
dropped before anything is cached or streamed. `updated` is the date of the source's data.
"""

from msgspec import Struct, field

from shared.messages import Stage


class Record(Struct, kw_only=True, omit_defaults=True, frozen=True):
    """A stage's data; what is unknown is left out of the JSON."""


class Person(Record, frozen=True):
    """`telegram`: the person behind a CPF. Dates are YYYY-MM-DD."""

    name: str | None = field(name="nome", default=None)
    birth: str | None = field(name="nascimento", default=None)
    sex: str | None = field(name="sexo", default=None)
    username: str | None = field(name="usuario", default=None)
    updated: str | None = field(name="atualizado_em", default=None)


class Address(Record, frozen=True):
    """`endereco`. `cep` is 8 digits, `ibge` the 7 digits of the municipality's code."""

    cep: str | None = None
    street: str | None = field(name="logradouro", default=None)
    number: str | None = field(name="numero", default=None)
    complement: str | None = field(name="complemento", default=None)
    district: str | None = field(name="bairro", default=None)
    city: str | None = field(name="municipio", default=None)
    state: str | None = field(name="uf", default=None)
    ibge: str | None = None
    updated: str | None = field(name="atualizado_em", default=None)


class Phone(Record, frozen=True):
    """One number in E.164; `type` is movel, fixo or outro."""

    number: str = field(name="numero")
    type: str = field(name="tipo")
    area_code: str = field(name="ddd")
    state: str | None = field(name="uf", default=None)


class Phones(Record, frozen=True):
    """`telefone`. `cities` are those of each area code, of which numbers may share one."""

    numbers: list[Phone] = field(name="numeros")
    cities: dict[str, list[str]] = field(name="cidades", default_factory=dict)
    updated: str | None = field(name="atualizado_em", default=None)


class Activity(Record, frozen=True):
    """A CNAE code of 7 digits, and what it means."""

    code: str = field(name="codigo")
    description: str | None = field(name="descricao", default=None)


class Partner(Record, frozen=True):
    """A partner of a company. Their documents are left out."""

    name: str = field(name="nome")
    role: str | None = field(name="qualificacao", default=None)
    since: str | None = field(name="desde", default=None)


class Registration(Record, frozen=True):
    """`cadastro`: a company's entry, or, for a CPF, a person's.

    `phones` are raw, as the registry has them; the stage `telefone` makes numbers of them.
    `capital` is in reais.
    """

    name: str | None = field(name="nome", default=None)
    trade_name: str | None = field(name="nome_fantasia", default=None)
    status: str | None = field(name="situacao", default=None)
    status_since: str | None = field(name="situacao_desde", default=None)
    born: str | None = field(name="nascimento", default=None)
    died: str | None = field(name="obito", default=None)
    founded: str | None = field(name="abertura", default=None)
    legal_nature: str | None = field(name="natureza_juridica", default=None)
    size: str | None = field(name="porte", default=None)
    capital: float | None = field(name="capital_social", default=None)
    activity: Activity | None = field(name="cnae", default=None)
    other_activities: list[Activity] = field(name="cnaes_secundarios", default_factory=list)
    address: Address | None = field(name="endereco", default=None)
    phones: list[str] = field(name="telefones", default_factory=list)
    email: str | None = None
    partners: list[Partner] = field(name="socios", default_factory=list)
    simples: bool | None = None
    mei: bool | None = None
    updated: str | None = field(name="atualizado_em", default=None)


RECORDS: dict[Stage, type[Record]] = {
    "telegram": Person,
    "endereco": Address,
    "telefone": Phones,
    "cadastro": Registration,
}
