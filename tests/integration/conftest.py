"""What tests on the real bus share."""

from collections.abc import AsyncIterator

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from shared.topology import declare
from tests.arena import Arena
from tests.integration.notes import NOTES


@pytest.fixture
async def channel(arena: Arena) -> AsyncIterator[AbstractChannel]:
    """A plain channel beside the bus, as an operator or somebody else's service would have one."""
    async with await aio_pika.connect(arena.amqp_url) as connection:
        channel = await connection.channel()
        await declare(channel, (NOTES,))
        yield channel
