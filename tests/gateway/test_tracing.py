"""A client's trace reaches the services behind the gateway."""

import aio_pika
import pytest

from shared.topology import REQUESTED
from tests.arena import Arena
from tests.gateway.gateways import Gateways

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_the_traceparent_of_a_request_goes_on_with_its_lookup_and_with_no_other(
    arena: Arena, lasting: Gateways
) -> None:
    gateway = await lasting.start()
    traced = await gateway.ask(traceparent=PARENT)
    others = [await gateway.ask(), await gateway.ask(traceparent="no trace")]
    found = {}
    async with await aio_pika.connect(arena.amqp_url) as connection:
        queue = await (await connection.channel()).get_queue(REQUESTED.name)
        while (message := await queue.get(fail=False)) is not None:
            task = next(
                each["task_id"] for each in [traced, *others]
                if each["task_id"].encode() in message.body
            )  # fmt: skip
            found[task] = message.headers.get("traceparent")
            await message.ack()
    assert found == {traced["task_id"]: PARENT, **{each["task_id"]: None for each in others}}
