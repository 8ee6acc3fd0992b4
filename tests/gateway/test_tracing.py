"""A client's trace reaches the services behind the gateway."""

import aio_pika
import pytest

from shared.messages import StageRequested, decode
from shared.topology import STAGE_QUEUES
from tests.arena import Arena
from tests.gateway.backstage import Backstage
from tests.gateway.gateways import Gateways

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_the_traceparent_of_a_request_goes_on_with_its_lookup_and_with_no_other(
    arena: Arena, lasting: Gateways, backstage: Backstage
) -> None:
    gateway = await lasting.start()
    traced = await gateway.ask(traceparent=PARENT)
    others = [await gateway.ask(), await gateway.ask(traceparent="no trace")]
    tasks = {await backstage.flight(each["task_id"]): each["task_id"] for each in [traced, *others]}
    found = {}
    async with await aio_pika.connect(arena.amqp_url) as connection:
        queue = await (await connection.channel()).get_queue(STAGE_QUEUES["endereco"].name)
        while (message := await queue.get(fail=False)) is not None:
            order = decode(message.body, StageRequested)
            found[tasks[order.flight]] = message.headers.get("traceparent")
            await message.ack()
    assert found == {traced["task_id"]: PARENT, **{each["task_id"]: None for each in others}}
