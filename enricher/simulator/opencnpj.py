"""OpenCNPJ: the same open data as strings, empty where there is none."""

from typing import Any, Final

from aiohttp import web

from enricher.simulator.companies import Company, company
from enricher.simulator.minhareceita import bare_cnpj
from enricher.simulator.people import plain
from enricher.simulator.wire import Call, Endpoint, Provider, edge_refusal, json_answer
from shared.errors import InvalidInput

_SIZES: Final = {1: "Microempresa (ME)", 3: "Empresa de Pequeno Porte (EPP)", 5: "Demais"}
_ERRORS: Final = {405: "method not allowed", 500: "internal error"}


def provider() -> Provider:
    """OpenCNPJ."""
    return Provider("opencnpj", 600, (Endpoint("cnpj", "GET", "/{cnpj:.+}", _lookup),), _refuse)


def _lookup(call: Call) -> web.Response:
    try:
        found = company(bare_cnpj(call.parts["cnpj"]))
    except InvalidInput:
        return json_answer(400, {"error": "invalid cnpj"})
    if found is None or call.hidden:
        return json_answer(404, {"error": "not found"})
    return json_answer(200, _record(found))


def _record(found: Company) -> dict[str, Any]:
    home = found.address
    return {
        "cnpj": found.cnpj,
        "razao_social": found.name,
        "nome_fantasia": found.trade_name,
        "situacao_cadastral": found.status.capitalize(),
        "data_situacao_cadastral": found.opened,
        "matriz_filial": "Matriz" if found.head else "Filial",
        "data_inicio_atividade": found.opened,
        "cnae_principal": f"{found.activity.code:07d}",
        "cnaes_secundarios": [f"{other.code:07d}" for other in found.others],
        "natureza_juridica": found.nature,
        "tipo_logradouro": plain(home.street_type).upper(),
        "logradouro": plain(home.street_name).upper(),
        "numero": found.number,
        "complemento": found.complement,
        "bairro": plain(home.district).upper(),
        "cep": home.cep,
        "uf": home.city.uf,
        "municipio": plain(home.city.name).upper(),
        "codigo_municipio": home.city.siafi,
        "email": found.email,
        "telefones": [
            {"ddd": ddd, "numero": number, "is_fax": False} for ddd, number in found.phones
        ],
        "capital_social": f"{found.capital},00",
        "porte_empresa": _SIZES[found.size_code],
        "opcao_simples": "S" if found.simples else "N",
        "data_opcao_simples": found.opened if found.simples else "",
        "data_exclusao_simples": "",
        "opcao_mei": "N",
        "data_opcao_mei": "",
        "data_exclusao_mei": "",
        "situacao_especial": "",
        "QSA": [
            {
                "nome_socio": partner.name,
                "cnpj_cpf_socio": partner.cpf,
                "qualificacao_socio": partner.role,
                "data_entrada_sociedade": partner.joined,
                "identificador_socio": "Pessoa Física",
                "faixa_etaria": partner.age,
            }
            for partner in found.partners
        ],
    }


def _refuse(status: int) -> web.Response:
    if status in _ERRORS:
        return json_answer(status, {"error": _ERRORS[status]})
    return edge_refusal(status)
