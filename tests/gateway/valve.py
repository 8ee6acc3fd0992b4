"""A way to Redis that can be cut, or fall silent without a word."""

import asyncio
from typing import Self
from urllib.parse import urlsplit

from tests.gateway.proxy import Proxy


class Valve(Proxy):
    """Forwards TCP to the server of a URL; `url` is the same one by way of here."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._to, self._open = urlsplit(url), asyncio.Event()
        self._open.set()
        self.url = ""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        netloc = f":{self._to.password}@127.0.0.1:{self.port}"
        self.url = self._to._replace(netloc=netloc).geturl()
        return self

    def shut(self) -> None:
        """Let nothing through, either way, and say nothing of it."""
        self._open.clear()

    def open(self) -> None:
        """Let through again, what has come meanwhile first."""
        self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far = await asyncio.open_connection(self._to.hostname, self._to.port)
        ways = [
            asyncio.create_task(self._pass(*way)) for way in ((reader, far[1]), (far[0], writer))
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far[1].transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
