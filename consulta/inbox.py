"""Put one lookup's events in order, each once, however they come."""

import asyncio
from typing import Final

from shared.messages import Event

# A lookup has a dozen events; a number beyond this is not from us, and would only cost memory.
_MAX_SEQ: Final = 1000


class Inbox:
    """Events are published by several services over as many connections: order is lost on the
    way, and whatever was not confirmed is published again. `seq` mends both.
    """

    def __init__(self) -> None:
        self._held: dict[int, Event] = {}
        self._seen = 0
        self._news = asyncio.Event()
        # Some events may have passed unheard.
        self.stale = False

    @property
    def has_gap(self) -> bool:
        """Whether a later event is here and the next one is not."""
        return bool(self._held) and self._seen + 1 not in self._held

    def offer(self, event: Event) -> None:
        """Take in an event, unless it was here before."""
        seq = event.seq
        if isinstance(seq, int) and self._seen < seq <= _MAX_SEQ and seq not in self._held:
            self._held[seq] = event
            self._news.set()

    def miss(self) -> None:
        """Note that events may have passed unheard."""
        self.stale = True
        self._news.set()

    def take(self) -> Event | None:
        """The next event in order, if it is here."""
        event = self._held.pop(self._seen + 1, None)
        if event is not None:
            self._seen += 1
        return event

    async def wait(self, timeout: float) -> bool:
        """Wait for something new; False if there was nothing for `timeout` seconds."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout)
        except TimeoutError:
            return False
        finally:
            self._news.clear()
        return True
