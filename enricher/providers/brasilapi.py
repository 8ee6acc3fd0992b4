"""BrasilAPI: companies, addresses and area codes, gathered from other public APIs.

Format: `pages/api/{cnpj,cep,ddd}` of https://github.com/BrasilAPI/BrasilAPI. Its companies come
from Minha Receita, and its CEP answers 404 when every source of its own is down just as when the
CEP does not exist: neither not-found is proof.
"""

from typing import ClassVar

from enricher.failures import Malformed
from enricher.http import Reply, call
from enricher.providers.base import Answer, Provider, Query
from enricher.providers.fields import Fields, inner, items, objects, text
from enricher.providers.minhareceita import registration
from enricher.providers.replies import checked
from enricher.providers.viacep import address
from shared.domain.area_codes import AREA_CODES
from shared.records import Address


class BrasilApi(Provider):
    name = "brasilapi"
    url = "https://brasilapi.com.br"
    serves: ClassVar = {("cadastro", "cnpj"): 30, ("endereco", "cep"): 30}

    async def fetch(self, query: Query) -> Answer:
        reply = await self._get(f"{query.kind}/v1/{query.value}")
        said = reply.read(Fields)
        return Answer(registration(said) if query.kind == "cnpj" else _address(said))

    async def cities(self, area_code: str) -> tuple[str, list[str]]:
        """The state of an area code, and the cities, those of a second state included.

        Raises:
            Failure: as `fetch`.
        """
        parts = objects((await self._get(f"ddd/v2/{area_code}")).read(list[object]))
        states = [state for part in parts if (state := text(part.get("state")))]
        if not states:
            raise Malformed("an area code without a state")
        main = AREA_CODES.get(area_code)
        found = (text(entry) for part in parts for entry in items(part.get("cities")))
        return main if main in states else states[0], [city for city in found if city]

    async def _get(self, path: str) -> Reply:
        url = f"{self._base}/api/{path}"
        reply = await call(self._session, "GET", url, timeout=self.timeout)
        return checked(reply, error_key="type", confirmed=False)


def _address(said: Fields) -> Address:
    return address(
        {
            "cep": said.get("cep"),
            "logradouro": said.get("street"),
            "bairro": said.get("neighborhood"),
            "localidade": said.get("city"),
            "uf": said.get("state"),
            "ibge": inner(said.get("ibge")).get("city"),
        }
    )
