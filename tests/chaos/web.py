"""Askers over HTTP: they ask, follow the stream, and come back to it when it breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
import msgspec

from tests.chaos.asked import Asked

# A client's own pause before it tries again; the product asks for a second and more.
PAUSE_S = 0.2
_BROKEN = (aiohttp.ClientError, ConnectionError, TimeoutError)


@dataclass
class Web:
    """The gateway, as impatient clients use it."""

    http: aiohttp.ClientSession
    gateway: str

    async def lookup(self, asked: Asked) -> None:
        """One lookup, from the question to the end of its stream, or of its asker's patience."""
        await self._ask(asked)
        while not asked.is_over:
            with suppress(*_BROKEN):
                await self._follow_in_time(asked)
            if not asked.is_over:
                asked.reconnects += 1
                await asyncio.sleep(PAUSE_S)

    async def replayed(self, asked: Asked) -> list[bytes]:
        """All events of a lookup as a client gets them that comes afterwards."""
        url = f"{self.gateway}/api/consultas/{asked.task_id}/eventos"
        async with self.http.get(url) as answer:
            return [body async for _, body in _events(answer)]

    async def status(self, asked: Asked) -> tuple[int, str]:
        """How a lookup stands: the status of the answer, and the one it tells."""
        async with self.http.get(f"{self.gateway}/api/consultas/{asked.task_id}") as answer:
            told = await answer.json(content_type=None)
            return answer.status, str(told.get("status", ""))

    async def circuits(self) -> dict[str, str]:
        """The state of every circuit."""
        async with self.http.get(f"{self.gateway}/api/circuitos") as answer:
            return {name: about["estado"] for name, about in (await answer.json()).items()}

    async def _ask(self, asked: Asked) -> None:
        url = f"{self.gateway}/api/consultas"
        while not asked.task_id:
            try:
                async with self.http.post(url, json=asked.body()) as answer:
                    told = msgspec.json.decode(await answer.read())
                    if answer.status == 503:
                        asked.refused += 1
                    else:
                        assert answer.status in {200, 202}, (answer.status, told)
                        asked.task_id = told["task_id"]
                        asked.was_accepted()
                        return
            except _BROKEN:
                asked.unanswered += 1
            asked.tried = True
            await asyncio.sleep(PAUSE_S)

    async def _follow_in_time(self, asked: Asked) -> None:
        """A stream's heartbeats would keep its asker for ever."""
        following = asyncio.ensure_future(self._follow(asked))
        try:
            while not (following.done() or asked.is_over):
                await asyncio.wait({following}, timeout=1)
        finally:
            following.cancel()
            await asyncio.wait({following})
        if not following.cancelled():
            following.result()

    async def _follow(self, asked: Asked) -> None:
        """Read the stream until it ends or breaks."""
        url = f"{self.gateway}/api/consultas/{asked.task_id}/eventos"
        last = max(asked.events, default=0)
        headers = {"Last-Event-ID": str(last)} if last else {}
        async with self.http.get(url, headers=headers) as answer:
            if answer.status == 503:
                return
            if answer.status == 404:
                asked.was_lost("404")
                return
            assert answer.status == 200, (answer.status, await answer.text())
            async for seq, body in _events(answer):
                if not seq:
                    asked.was_lost("reset")
                    return
                assert not asked.is_complete, f"event {seq} came after the end"
                assert seq == len(asked.events) + 1, f"{seq} after {len(asked.events)}"
                asked.hear(seq, body)


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[int, bytes]]:
    """Ids and data, as an EventSource would dispatch them: whole events only.

    A `reset`, which has no id of its own, has the id 0.
    """
    seq, body, last = 0, b"", 0
    async for line in answer.content:
        name, _, value = line.rstrip(b"\n").partition(b": ")
        if name == b"id":
            seq = last = int(value)
        elif name == b"event":
            seq = 0 if value == b"reset" else last
        elif name == b"data":
            body = value
        elif not name and body:
            yield seq, body
            body = b""
