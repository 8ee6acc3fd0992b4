"""What the cache answers whole, however it was asked for, is a lookup that ended like any other."""

from uuid import uuid4

import pytest
import pytest_asyncio

from shared import metrics
from shared.app import CACHE
from shared.messages import now
from shared.reporter import event
from shared.results import analysis_entry, analysis_field, to_cache
from tests.gateway.gateways import CEP, Gateway, Gateways, events_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
STREAM, ONE, MANY = "/api/consulta-stream", "/api/consultas", "/api/consultas/lote"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(lasting: Gateways) -> Gateway:
    """A gateway whose cache has the whole answer."""
    gateway = await lasting.start()
    told = event("endereco", {"cep": "01001000"}, "ok")
    told.source, told.fetched = "test", now()
    entries = to_cache([told], {"endereco": 3600}, 3600)
    analysis = analysis_entry([told], event("analysis", {"achados": []}, "ok"))
    assert analysis is not None
    cache = gateway.app[CACHE]
    digest = cache.digest("cep", CEP["identificador"])
    await cache.write("cep", digest, {**entries, analysis_field(["endereco"]): analysis})
    return gateway


def counted() -> float:
    """How many lookups have ended well in this process."""
    value: float = metrics.lookups.labels("cep", "completo")._value.get()
    return value


async def test_each_is_counted_once(gateway: Gateway) -> None:
    before = counted()
    status, answer = await gateway.json("POST", ONE, CEP)
    assert (status, answer["cache"]) == (200, True)
    assert counted() == before + 1
    _, answers = await gateway.json("POST", MANY, [CEP, CEP])
    assert [answer["http"] for answer in answers] == [200, 200]
    assert counted() == before + 3
    async with gateway.request("POST", STREAM, json=CEP) as stream:
        assert (await events_of(stream))[-1]["tipo"] == "completo"
    assert counted() == before + 4


@pytest.mark.parametrize("path", [ONE, STREAM])
async def test_a_repetition_under_its_idempotency_key_is_no_other_one(
    gateway: Gateway, path: str
) -> None:
    before, key = counted(), {"Idempotency-Key": str(uuid4())}
    for _ in range(2):
        async with gateway.request("POST", path, json=CEP, headers=key) as answer:
            assert b"endereco" in await answer.read()
    assert counted() == before + 1
