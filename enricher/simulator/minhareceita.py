"""Minha Receita: Receita Federal's open data of companies, one flat object."""

from typing import Any, Final

from aiohttp import web

from enricher.simulator.companies import Company, company
from enricher.simulator.people import plain
from enricher.simulator.wire import Call, Endpoint, Provider, edge_refusal, json_answer
from shared.errors import InvalidInput
from shared.identifiers import parse

UPDATED: Final = "2026-02-14"
_SEPARATORS: Final = str.maketrans("", "", "./-")


def provider() -> Provider:
    """Minha Receita."""
    return Provider(
        "minhareceita",
        700,
        (
            Endpoint(
                "updated", "GET", "/updated", lambda _: json_answer(200, {"message": UPDATED})
            ),
            Endpoint("healthz", "GET", "/healthz", lambda _: web.Response(status=200)),
            Endpoint("cnpj", "GET", "/{cnpj:.+}", _lookup),
        ),
        _refuse,
    )


def _lookup(call: Call) -> web.Response:
    asked = call.parts["cnpj"]
    try:
        cnpj = bare_cnpj(asked)
    except InvalidInput:
        return json_answer(400, {"message": f"CNPJ {asked} inválido."})
    found = company(cnpj)
    if found is None or call.hidden:
        return json_answer(404, {"message": f"CNPJ {_masked(cnpj)} não encontrado."})
    return json_answer(200, record(found))


def bare_cnpj(text: str) -> str:
    """A cnpj of 14 characters, masked in whatever way.

    Raises:
        InvalidInput: it is none.
    """
    bare = text.translate(_SEPARATORS)
    if len(bare) != 14:
        raise InvalidInput("cnpj", "deve ter 14 caracteres")
    return parse("cnpj", bare).value


def record(found: Company) -> dict[str, Any]:
    """A company as Minha Receita tells it; BrasilAPI hands on the same."""
    home = found.address
    phones = [ddd + number for ddd, number in found.phones]
    return {
        "cnpj": found.cnpj,
        "identificador_matriz_filial": 1 if found.head else 2,
        "descricao_identificador_matriz_filial": "MATRIZ" if found.head else "FILIAL",
        "razao_social": found.name,
        "nome_fantasia": found.trade_name,
        "situacao_cadastral": found.status_code,
        "descricao_situacao_cadastral": found.status,
        "data_situacao_cadastral": found.opened,
        "motivo_situacao_cadastral": 0,
        "descricao_motivo_situacao_cadastral": "SEM MOTIVO",
        "nome_cidade_no_exterior": "",
        "codigo_pais": None,
        "pais": None,
        "data_inicio_atividade": found.opened,
        "cnae_fiscal": found.activity.code,
        "cnae_fiscal_descricao": found.activity.description,
        "cnaes_secundarios": [
            {"codigo": other.code, "descricao": other.description} for other in found.others
        ],
        "descricao_tipo_de_logradouro": plain(home.street_type).upper(),
        "logradouro": plain(home.street_name).upper(),
        "numero": found.number,
        "complemento": found.complement,
        "bairro": plain(home.district).upper(),
        "cep": home.cep,
        "uf": home.city.uf,
        "codigo_municipio": int(home.city.siafi),
        "codigo_municipio_ibge": int(home.city.ibge),
        "municipio": plain(home.city.name).upper(),
        "ddd_telefone_1": phones[0],
        "ddd_telefone_2": phones[1] if len(phones) > 1 else "",
        "ddd_fax": "",
        "email": found.email,
        "situacao_especial": "",
        "data_situacao_especial": None,
        "opcao_pelo_simples": found.simples,
        "data_opcao_pelo_simples": found.opened if found.simples else None,
        "data_exclusao_do_simples": None,
        "opcao_pelo_mei": False,
        "data_opcao_pelo_mei": None,
        "data_exclusao_do_mei": None,
        "codigo_natureza_juridica": found.nature_code,
        "natureza_juridica": found.nature,
        "qualificacao_do_responsavel": found.partners[0].role_code,
        "capital_social": found.capital,
        "codigo_porte": found.size_code,
        "porte": found.size,
        "ente_federativo_responsavel": "",
        "qsa": [
            {
                "identificador_de_socio": 2,
                "nome_socio": partner.name,
                "cnpj_cpf_do_socio": partner.cpf,
                "codigo_qualificacao_socio": partner.role_code,
                "qualificacao_socio": partner.role,
                "data_entrada_sociedade": partner.joined,
                "codigo_pais": None,
                "pais": None,
                "cpf_representante_legal": "***000000**",
                "nome_representante_legal": "",
                "codigo_qualificacao_representante_legal": 0,
                "qualificacao_representante_legal": "Não informada",
                "codigo_faixa_etaria": partner.age_code,
                "faixa_etaria": partner.age,
            }
            for partner in found.partners
        ],
        "regime_tributario": None,
    }


def _masked(cnpj: str) -> str:
    return f"{cnpj[:2]}.{cnpj[2:5]}.{cnpj[5:8]}/{cnpj[8:12]}-{cnpj[12:]}"


def _refuse(status: int) -> web.Response:
    if status == 405:
        return json_answer(405, {"message": "Essa URL aceita apenas o método GET."})
    return edge_refusal(status)
