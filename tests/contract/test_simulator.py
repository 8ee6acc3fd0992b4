"""The simulator speaks as the providers do."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from enricher.simulator.wire import REVOKED
from shared.identifiers import parse
from tests.contract.simulated import CNPJ, CPF, Client, Time, bridge, get, lookup, started

UNKNOWN_CPF, MINOR, PARTIAL, UNKNOWN_CNPJ = (
    "40400000300",
    "42200000545",
    "20600000761",
    "40400000000101",
)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def client(time: Time) -> AsyncIterator[Client]:
    async with started(time) as client:
        yield client


async def token(client: Client, key: str = "chave:segredo") -> tuple[int, Any]:
    basic = {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}
    form = {"grant_type": "client_credentials"}
    async with client.post("/serpro/token", data=form, headers=basic) as response:
        return response.status, await response.json()


async def serpro(client: Client, ni: str, access: str) -> tuple[int, Any]:
    bearer = {"Authorization": f"Bearer {access}"}
    return await get(client, f"/serpro/consulta-cpf-df/v1/cpf/{ni}", headers=bearer)


async def test_a_bridge_tells_each_stage_of_a_person(client: Client) -> None:
    status, telegram = await bridge(client, lookup("telegram"))
    assert status == 200
    assert set(telegram) == {"data", "source", "source_date"}
    assert set(telegram["data"]) == {"nome", "nascimento", "sexo", "usuario"}
    _, address = await bridge(client, lookup("endereco"), "bridge_endereco")
    fields = {"cep", "logradouro", "numero", "complemento", "bairro", "municipio", "uf"}
    assert set(address["data"]) == fields
    _, phones = await bridge(client, lookup("telefone"), "bridge_telefone")
    for number in phones["data"]["numeros"]:
        assert parse("telefone", number).value == number
    _, by_cep = await get(client, f"/viacep/ws/{address['data']['cep']}/json/")
    assert by_cep["localidade"] == address["data"]["municipio"]
    assert by_cep["logradouro"] == address["data"]["logradouro"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (lookup("telegram", UNKNOWN_CPF), 404),
        (lookup("telegram", "11144477736"), 422),
        (lookup("cadastro"), 422),
        ({**lookup("telegram"), "kind": "cnpj"}, 422),
        ({"stage": "telegram"}, 422),
    ],
)
async def test_a_bridge_refuses_in_json(client: Client, body: Any, status: int) -> None:
    answered, content = await bridge(client, body)
    assert answered == status
    assert set(content) == {"message"}


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {REVOKED}"}])
async def test_a_bridge_wants_a_key(client: Client, headers: dict[str, str]) -> None:
    async with client.post("/telegram/lookup", json=lookup("telegram"), headers=headers) as got:
        assert got.status == 401


async def test_serpro_gives_a_record_for_a_token(client: Client) -> None:
    status, granted = await token(client)
    assert status == 200
    assert set(granted) == {"access_token", "token_type", "expires_in", "scope"}
    status, record = await serpro(client, CPF, granted["access_token"])
    assert status == 200
    assert {"ni", "nome", "situacao", "nascimento"} <= set(record)
    assert set(record["situacao"]) == {"codigo", "descricao"}
    _, telegram = await bridge(client, lookup("telegram"))
    year, month, day = telegram["data"]["nascimento"].split("-")
    assert record["nome"] == telegram["data"]["nome"]
    assert record["nascimento"] == f"{day}{month}{year}"


@pytest.mark.parametrize(
    ("ni", "status"),
    [(UNKNOWN_CPF, 404), (MINOR, 422), (PARTIAL, 206), ("11144477736", 400), ("123", 400)],
)
async def test_serpro_says_what_else_it_can_say(client: Client, ni: str, status: int) -> None:
    _, granted = await token(client)
    assert (await serpro(client, ni, granted["access_token"]))[0] == status


async def test_serpro_wants_credentials_and_a_token_that_lives(client: Client, time: Time) -> None:
    assert (await token(client, f"{REVOKED}:segredo"))[0] == 401
    assert (await token(client, "chave"))[0] == 401
    assert (await serpro(client, CPF, "outro"))[0] == 401
    _, granted = await token(client)
    time.now += granted["expires_in"]
    assert (await serpro(client, CPF, granted["access_token"]))[0] == 401
    _, renewed = await token(client)
    assert (await serpro(client, CPF, renewed["access_token"]))[0] == 200


async def test_a_company_is_the_same_at_each_provider(client: Client) -> None:
    _, minha = await get(client, f"/minhareceita/{CNPJ}")
    _, brasil = await get(client, f"/brasilapi/api/cnpj/v1/{CNPJ}")
    _, aberto = await get(client, "/opencnpj/12.abc.345/01de-35")
    assert minha == brasil
    for field in ("cnpj", "razao_social", "nome_fantasia", "cep", "uf", "municipio", "email"):
        assert minha[field] == aberto[field]
    assert type(minha["situacao_cadastral"]) is int
    assert type(minha["cnae_fiscal"]) is int
    assert type(minha["codigo_municipio_ibge"]) is int
    assert set(minha["qsa"][0]) > {"nome_socio", "cnpj_cpf_do_socio", "qualificacao_socio"}
    assert parse("telefone", minha["ddd_telefone_1"]).value.startswith("+55")
    assert type(aberto["capital_social"]) is str
    assert set(aberto["telefones"][0]) == {"ddd", "numero", "is_fax"}
    assert set(aberto["QSA"][0]) > {"nome_socio", "cnpj_cpf_socio"}
    _, address = await get(client, f"/opencep/v1/{minha['cep']}")
    assert address["ibge"] == str(minha["codigo_municipio_ibge"])


async def test_an_address_is_the_same_at_each_provider(client: Client) -> None:
    common = {"cep": "01001-000", "logradouro": "Praça da Sé", "bairro": "Sé"}
    common |= {"localidade": "São Paulo", "uf": "SP", "ibge": "3550308"}
    for path in ("/opencep/v1/01001000", "/viacep/ws/01001000/json/", "/viacep/ws/01001000/json"):
        status, content = await get(client, path)
        assert status == 200
        assert content.items() >= common.items()
    _, one = await get(client, "/brasilapi/api/cep/v1/01001000")
    assert set(one) == {"cep", "state", "city", "neighborhood", "street", "service", "ibge"}
    assert (one["cep"], one["city"], one["street"]) == ("01001000", "São Paulo", "Praça da Sé")
    _, two = await get(client, "/brasilapi/api/cep/v2/01001000")
    assert set(two) == {*one, "timezoneName", "location"}
    assert set(two["location"]["coordinates"]) == {"longitude", "latitude"}


async def test_an_area_code_has_states_with_cities(client: Client) -> None:
    _, states = await get(client, "/brasilapi/api/ddd/v2/61")
    assert {state["state"] for state in states} == {"DF", "GO"}
    assert {"state": "DF", "cities": ["BRASILIA"]} in states


@pytest.mark.parametrize(
    ("path", "status", "content"),
    [
        (
            f"/minhareceita/{UNKNOWN_CNPJ}",
            404,
            {"message": "CNPJ 40.400.000/0001-01 não encontrado."},
        ),
        ("/minhareceita/123", 400, {"message": "CNPJ 123 inválido."}),
        ("/minhareceita/updated", 200, {"message": "2026-02-14"}),
        (f"/opencnpj/{UNKNOWN_CNPJ}", 404, {"error": "not found"}),
        ("/opencnpj/123", 400, {"error": "invalid cnpj"}),
        (
            "/brasilapi/api/cnpj/v1/123",
            400,
            {"message": "CNPJ 123 inválido.", "type": "bad_request", "name": "BadRequestError"},
        ),
        (
            f"/brasilapi/api/cnpj/v1/{UNKNOWN_CNPJ}",
            404,
            {"type": "not_found", "name": "NotFoundError"},
        ),
        (
            "/brasilapi/api/cep/v1/01001999",
            404,
            {"name": "CepPromiseError", "type": "service_error"},
        ),
        (
            "/brasilapi/api/cep/v2/010010000",
            400,
            {"name": "CepPromiseError", "type": "validation_error"},
        ),
        ("/brasilapi/api/ddd/v2/20", 404, {"name": "DDD_NOT_FOUND"}),
        ("/brasilapi/api/ddd/v2/111", 400, {"name": "DDD_INVALID"}),
        ("/opencep/v1/01001999", 404, {}),
        ("/viacep/ws/01001999/json/", 200, {"erro": "true"}),
    ],
)
async def test_what_is_not_there_is_said_in_the_providers_way(
    client: Client, path: str, status: int, content: dict[str, Any]
) -> None:
    answered, got = await get(client, path)
    assert answered == status
    assert got.items() >= content.items()


async def test_other_edges_of_the_providers(client: Client) -> None:
    async with client.get("/viacep/ws/123/json/") as response:
        assert (response.status, response.content_type) == (400, "text/html")
    async with client.post(f"/minhareceita/{CNPJ}") as response:
        assert (response.status, set(await response.json())) == (405, {"message"})
    async with client.get("/minhareceita/healthz") as response:
        assert response.status == 200
    for agent, status in (("", 429), ("node", 403)):
        agents = {"User-Agent": agent}
        async with client.get("/brasilapi/api/ddd/v2/11", headers=agents) as response:
            assert response.status == status
    async with client.get("/live") as response:
        assert response.status == 200
