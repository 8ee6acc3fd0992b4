"""OpenCEP: addresses by CEP, as static files behind a CDN.

Format: `v1/` of https://github.com/SeuAliado/OpenCEP; a CEP without a file is a 404 with
`{"error": true}`. That is no proof that a CEP does not exist: new ones are missing for a while, and
its CDN has answered 404 for ones that are there (SeuAliado/OpenCEP#14, #18, #25, #29, #36).
"""

from typing import ClassVar

from enricher.http import call
from enricher.providers.base import Answer, Provider, Query
from enricher.providers.fields import Fields
from enricher.providers.replies import checked
from enricher.providers.viacep import address


class OpenCEP(Provider):
    name = "opencep"
    url = "https://opencep.com"
    serves: ClassVar = {("endereco", "cep"): 10}

    async def fetch(self, query: Query) -> Answer:
        url = f"{self._base}/v1/{query.value}"
        reply = await call(self._session, "GET", url, timeout=self.timeout)
        return Answer(address(checked(reply, error_key="error", confirmed=False).read(Fields)))
