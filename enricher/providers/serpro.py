"""Serpro "Consulta CPF": Receita Federal's word on a cpf, under contract and billed by the call.

Format: https://apicenter.estaleiro.serpro.gov.br/documentacao/consulta-cpf/. The key is
`consumer_key:consumer_secret`; it buys tokens of an hour (OAuth 2.0 client credentials, RFC 6749
section 4.4). 206 is a record with a field missing, 422 one that is a minor's. 200, 206, 404 and
422 are billed.
"""

import time
from collections.abc import Callable
from typing import ClassVar, Final

import aiohttp

from enricher.failures import (
    BadCredential,
    Blocked,
    Malformed,
    NotFound,
    Rejected,
    StaleCredential,
)
from enricher.http import Reply, call
from enricher.providers.base import Access, Answer, Provider, Query
from enricher.providers.fields import Fields, date, digits, inner, text, words
from enricher.providers.tokens import Tokens
from shared.errors import InvalidSetting
from shared.records import Registration

_PATH: Final = "/consulta-cpf-df/v1/cpf"
# For an entry without a description.
_STATUS: Final = {
    "0": "Regular",
    "2": "Suspensa",
    "3": "Titular falecido",
    "4": "Pendente de regularização",
    "5": "Cancelada por multiplicidade",
    "8": "Nula",
    "9": "Cancelada de ofício",
}


class Serpro(Provider):
    name = "serpro"
    needs_key = True
    serves: ClassVar = {("cadastro", "cpf"): 10}
    billed = True

    def __init__(
        self,
        access: Access,
        session: aiohttp.ClientSession,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(access, session)
        key, _, secret = access.key.reveal().partition(":")
        if access.key and not (key and secret):
            raise InvalidSetting(
                "PROVIDER_SERPRO_KEY: the value cannot be used; "
                "give it as consumer_key:consumer_secret"
            )
        self._tokens = Tokens(session, f"{self._base}/token", key, secret, clock)

    async def fetch(self, query: Query) -> Answer:
        token = await self._tokens.get(timeout=self.timeout)
        try:
            reply = await self._ask(query, token)
        except BadCredential:
            # Tokens are also revoked before their time. Serpro does not bill a 401.
            self._tokens.drop(token)
            raise StaleCredential("token refused") from None
        return Answer(_registration(_checked(reply).read(Fields)))

    async def _ask(self, query: Query, token: str) -> Reply:
        return await call(
            self._session,
            "GET",
            f"{self._base}{_PATH}/{query.value}",
            timeout=self.timeout,
            headers={"Authorization": f"Bearer {token}"},
        )


def _checked(reply: Reply) -> Reply:
    if reply.status == 422:
        raise Blocked("a minor's data")
    if reply.status >= 300:
        said = reply.read(Fields)
        # The gateway's own 404 is about the path, or the contract, and not about the cpf.
        own = "fault" not in said and said.get("type") != "Status report"
        if own and reply.status == 404:
            raise NotFound
        if own and reply.status == 400:
            raise Rejected("status 400")
        raise Malformed(f"status {reply.status}")
    return reply


def _registration(said: Fields) -> Registration:
    status = inner(said.get("situacao"))
    # DDMMAAAA; as a number it has lost the zero of the first nine days.
    born = (text(said.get("nascimento")) or "").zfill(8)
    record = Registration(
        name=text(said.get("nome")),
        status=words(status.get("descricao")) or _STATUS.get(text(status.get("codigo")) or ""),
        born=date(born, "%d%m%Y"),
        died=digits(said.get("obito"), 4),
    )
    if not (record.name or record.status):
        raise Malformed("a person without name and status")
    return record
