"""What is told of a lookup that begins, and of one that the cache answers whole."""

import time

import pytest
from msgspec import convert, to_builtins

from shared.cache import Entries, Entry
from shared.domain.answers import Started
from shared.messages import now
from shared.results import analysis_field, hit, started


def entries() -> Entries:
    """A cached address and the analysis made of it."""
    fetched, later = now(), time.time() + 60
    return {
        "endereco": Entry(data={}, source="opencep", fetched=fetched, fresh_until=later),
        analysis_field(["endereco"]): Entry(
            data={"base": {"endereco": fetched}, "analise": {}},
            source="analyzer",
            fetched=fetched,
            fresh_until=later,
        ),
    }


@pytest.mark.parametrize("purpose", [None, "", "cobrança"])
@pytest.mark.parametrize("legal_basis", [None, "LGPD, art. 7º, X"])
def test_a_hit_begins_as_a_flight_does_with_what_the_asker_said_it_is_for(
    purpose: str | None, legal_basis: str | None
) -> None:
    begun = started("cep", ["endereco"], purpose, legal_basis)
    answered = hit("cep", ["endereco"], entries(), purpose, legal_basis)
    assert answered is not None
    assert answered[0].data == begun.data
    given = {"finalidade": purpose, "base_legal": legal_basis}
    assert begun.data == {
        "tipo": "cep",
        "etapas": ["endereco"],
        **{name: text for name, text in given.items() if text is not None},
    }
    assert to_builtins(convert(begun.data, Started)) == begun.data
