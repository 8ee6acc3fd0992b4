"""Minha Receita: the companies' registry of Receita Federal, as a public API.

Format: `api/` and `transform/` of https://github.com/cuducos/minha-receita. Its handler answers
404 to any error of its database, so its not-found is no proof.
"""

from typing import ClassVar, Final

from enricher.http import call
from enricher.providers.base import Answer, Provider, Query
from enricher.providers.company import (
    activity,
    address,
    company_name,
    complete,
    email,
    partners,
    phone,
    size,
)
from enricher.providers.fields import Fields, amount, date, digits, objects, text, words, yes
from enricher.providers.replies import checked
from shared.records import Registration

# Receita Federal's codes, for the rare entry without a description.
_STATUS: Final = {"1": "Nula", "2": "Ativa", "3": "Suspensa", "4": "Inapta", "8": "Baixada"}


class MinhaReceita(Provider):
    name = "minhareceita"
    url = "https://minhareceita.org"
    serves: ClassVar = {("cadastro", "cnpj"): 10}

    async def fetch(self, query: Query) -> Answer:
        url = f"{self._base}/{query.value}"
        reply = await call(self._session, "GET", url, timeout=self.timeout)
        reply = checked(reply, error_key="message", confirmed=False)
        return Answer(registration(reply.read(Fields)))

    async def updated(self) -> str | None:
        """The date (YYYY-MM-DD) on which Receita Federal published what this holds.

        Raises:
            Failure: as `fetch`.
        """
        reply = await call(self._session, "GET", f"{self._base}/updated", timeout=self.timeout)
        return date(checked(reply, error_key="message").read(Fields).get("message"))


def registration(said: Fields) -> Registration:
    """The record of one entry; BrasilAPI hands out the same format.

    Raises:
        Malformed: neither a name nor a status.
    """
    status = words(said.get("descricao_situacao_cadastral"))
    numbers = [phone(said.get(key)) for key in ("ddd_telefone_1", "ddd_telefone_2")]
    others = [
        activity(entry.get("codigo"), entry.get("descricao"))
        for entry in objects(said.get("cnaes_secundarios"))
    ]
    return complete(
        Registration(
            name=company_name(said.get("razao_social")),
            trade_name=text(said.get("nome_fantasia")),
            status=status or _STATUS.get(digits(said.get("situacao_cadastral")) or ""),
            status_since=date(said.get("data_situacao_cadastral")),
            founded=date(said.get("data_inicio_atividade")),
            legal_nature=text(said.get("natureza_juridica")),
            size=size(said.get("porte")),
            capital=amount(said.get("capital_social")),
            activity=activity(said.get("cnae_fiscal"), said.get("cnae_fiscal_descricao")),
            other_activities=[other for other in others if other],
            address=address(
                said, street_type="descricao_tipo_de_logradouro", ibge="codigo_municipio_ibge"
            ),
            phones=[number for number in numbers if number],
            email=email(said.get("email")),
            partners=partners(said.get("qsa")),
            simples=yes(said.get("opcao_pelo_simples")),
            mei=yes(said.get("opcao_pelo_mei")),
        )
    )
