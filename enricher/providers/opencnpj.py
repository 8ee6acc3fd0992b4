"""OpenCNPJ: the companies' registry of Receita Federal, republished from a monthly file.

Format: `src/Worker/src/schema.ts` and `src/ETL/Modules/Receita` of
https://github.com/Hitmasu/OpenCNPJ. Every field is a string, "" where there is nothing.
"""

from typing import ClassVar

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
from enricher.providers.fields import Fields, amount, date, items, objects, text, words, yes
from enricher.providers.replies import checked
from shared.records import Registration


class OpenCNPJ(Provider):
    name = "opencnpj"
    url = "https://api.opencnpj.org"
    serves: ClassVar = {("cadastro", "cnpj"): 20}

    async def fetch(self, query: Query) -> Answer:
        url = f"{self._base}/{query.value}"
        reply = await call(self._session, "GET", url, timeout=self.timeout)
        return Answer(_registration(checked(reply, error_key="error").read(Fields)))


def _registration(said: Fields) -> Registration:
    # Newer releases explain the bare codes of the other two fields here.
    meaning = {
        text(entry.get("codigo")): entry.get("descricao") for entry in objects(said.get("cnaes"))
    }
    main, *others = (
        activity(code, meaning.get(text(code)))
        for code in (said.get("cnae_principal"), *items(said.get("cnaes_secundarios")))
    )
    numbers = [
        phone(entry.get("ddd"), entry.get("numero"))
        for entry in objects(said.get("telefones"))
        if entry.get("is_fax") is not True
    ]
    return complete(
        Registration(
            name=company_name(said.get("razao_social")),
            trade_name=text(said.get("nome_fantasia")),
            status=words(said.get("situacao_cadastral")),
            status_since=date(said.get("data_situacao_cadastral")),
            founded=date(said.get("data_inicio_atividade")),
            legal_nature=text(said.get("natureza_juridica")),
            size=size(said.get("porte_empresa")),
            capital=amount(said.get("capital_social")),
            activity=main,
            other_activities=[other for other in others if other],
            address=address(said, street_type="tipo_logradouro"),
            phones=[number for number in numbers if number],
            email=email(said.get("email")),
            partners=partners(said.get("QSA")),
            simples=yes(said.get("opcao_simples")),
            mei=yes(said.get("opcao_mei")),
        )
    )
