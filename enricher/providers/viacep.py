"""ViaCEP: addresses by CEP.

Format: https://viacep.com.br/. A CEP it does not know is a 200 with `erro`, formerly a boolean and
now a string; a malformed one is a 400 with a web page.
"""

from typing import ClassVar

from enricher.failures import Malformed, NotFound, Rejected
from enricher.http import call
from enricher.providers.base import Answer, Provider, Query
from enricher.providers.fields import Fields, digits, text
from shared.records import Address


class ViaCEP(Provider):
    name = "viacep"
    url = "https://viacep.com.br"
    serves: ClassVar = {("endereco", "cep"): 20}

    async def fetch(self, query: Query) -> Answer:
        url = f"{self._base}/ws/{query.value}/json/"
        reply = await call(self._session, "GET", url, timeout=self.timeout)
        if reply.status == 400:
            raise Rejected("status 400")
        if reply.status >= 300:
            raise Malformed(f"status {reply.status}")
        said = reply.read(Fields)
        if said.get("erro") in (True, "true"):
            raise NotFound
        return Answer(address(said))


def address(said: Fields) -> Address:
    """The record of one CEP; OpenCEP took over these names.

    Raises:
        Malformed: neither a city nor a state.
    """
    record = Address(
        cep=digits(said.get("cep"), 8),
        street=text(said.get("logradouro")),
        complement=text(said.get("complemento")),
        district=text(said.get("bairro")),
        city=text(said.get("localidade")),
        state=text(said.get("uf")),
        ibge=digits(said.get("ibge"), 7),
    )
    if not (record.city or record.state):
        raise Malformed("an address without city and state")
    return record
