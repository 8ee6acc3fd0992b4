"""Bridges: our own small format, spoken by whatever an operator has contracted for person data.

`POST {URL}/lookup` with a Bearer key and `{kind, stage, value, purpose, legal_basis, request_id}`
answers 200 `{"data": {…}, "source": …, "source_date": …}`; errors are `{"message": …}` with 404 (no
such record), 422 (refused), 429 with `Retry-After`, or 5xx. The three stages of a cpf are three
providers, so that each has its own address, key and circuit. The date of the data is told on;
`source`, whom the operator's contractor has it from, is not.
"""

from abc import abstractmethod
from typing import ClassVar, Final

from enricher.failures import Malformed, NotFound
from enricher.http import call
from enricher.providers.base import Answer, Provider, Query
from enricher.providers.fields import Fields, date, digits, items, text
from enricher.providers.offline_phones import phone
from enricher.providers.replies import checked
from shared.records import Address, Person, Phones, Record

_EMPTY: Final[tuple[Record, ...]] = (Person(), Address())


class Bridge(Provider):
    needs_key = True

    async def fetch(self, query: Query) -> Answer:
        reply = await call(
            self._session,
            "POST",
            f"{self._base}/lookup",
            timeout=self.timeout,
            headers={"Authorization": f"Bearer {self._key.reveal()}"},
            json={
                "kind": query.kind,
                "stage": query.stage,
                "value": query.value,
                "purpose": query.purpose,
                "legal_basis": query.legal_basis,
                "request_id": query.request_id,
            },
        )
        said = checked(reply, error_key="message").read(Fields)
        data = said.get("data")
        if not isinstance(data, dict):
            raise Malformed("no data")
        record = self._record(data)
        if record in _EMPTY:
            raise Malformed("an empty record")
        return Answer(record, date(said.get("source_date")))

    @abstractmethod
    def _record(self, data: Fields) -> Record:
        """The stage's record; empty if nothing could be read."""


class Telegram(Bridge):
    """`data`: nome, nascimento (YYYY-MM-DD), sexo, usuario."""

    name = "telegram"
    circuit = "telegram_api"
    serves: ClassVar = {("telegram", "cpf"): 10}

    def _record(self, data: Fields) -> Person:
        return Person(
            name=text(data.get("nome")),
            birth=date(data.get("nascimento")),
            sex=text(data.get("sexo")),
            username=text(data.get("usuario")),
        )


class BridgeAddress(Bridge):
    """`data`: cep, logradouro, numero, complemento, bairro, municipio, uf."""

    name = "bridge_endereco"
    serves: ClassVar = {("endereco", "cpf"): 10}

    def _record(self, data: Fields) -> Address:
        return Address(
            cep=digits(data.get("cep"), 8),
            street=text(data.get("logradouro")),
            number=text(data.get("numero")),
            complement=text(data.get("complemento")),
            district=text(data.get("bairro")),
            city=text(data.get("municipio")),
            state=text(data.get("uf")),
        )


class BridgePhones(Bridge):
    """`data`: numeros, in E.164."""

    name = "bridge_telefone"
    serves: ClassVar = {("telefone", "cpf"): 10}

    def _record(self, data: Fields) -> Phones:
        said = data.get("numeros")
        if said == []:
            raise NotFound
        numbers = [number for entry in items(said) if (number := phone(entry))]
        if not numbers:
            raise Malformed("no numbers")
        return Phones(numbers=list({number.number: number for number in numbers}.values()))
