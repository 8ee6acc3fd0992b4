"""How much the queues hold, asked on channels that nobody else uses.

A question that is given up in the middle, or that names a queue which is gone, closes its channel.
Neither may touch what messages travel on, nor count when the service says whether it is ready.
"""

from typing import Final

from shared.errors import BusUnavailable
from shared.link import Link, settle
from shared.refusals import AWAY, is_missing

ASK_S: Final = 2.0


class Inspector:
    """Asks over one connection, made when it is first needed."""

    def __init__(self, link: Link) -> None:
        self._link, self._is_open = link, False

    async def close(self) -> None:
        await self._link.close()

    async def depths(self, names: list[str]) -> dict[str, int]:
        """Messages ready in each of these queues; 0 in one that does not exist.

        Raises:
            BusUnavailable: the broker does not answer.
        """
        if not self._is_open:
            self._link.open()
            self._is_open = True
        found: dict[str, int] = {}
        try:
            while len(found) < len(names):
                found |= await self._ask(names[len(found) :])
        except AWAY as error:
            raise BusUnavailable(f"RabbitMQ did not answer ({type(error).__name__})") from None
        return found

    async def _ask(self, names: list[str]) -> dict[str, int]:
        """The depths of these, up to and including the first that is missing."""
        found: dict[str, int] = {}
        channel = await self._link.further(ASK_S)
        try:
            for name in names:
                found[name] = 0
                queue = await channel.declare_queue(name, passive=True, timeout=ASK_S)
                found[name] = queue.declaration_result.message_count or 0
        except AWAY as error:
            if not is_missing(error):
                raise
        finally:
            await settle(channel.close)
        return found
