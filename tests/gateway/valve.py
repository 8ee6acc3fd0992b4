"""A way to Redis that can be cut, or fall silent without a word."""

import asyncio
from typing import Self
from urllib.parse import urlsplit


class Valve:
    """Forwards TCP to the server of a URL; `url` is the same one by way of here."""

    def __init__(self, url: str) -> None:
        self._to, self._open = urlsplit(url), asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._to._replace(netloc=f":{self._to.password}@127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    def shut(self) -> None:
        """Let nothing through, either way, and say nothing of it."""
        self._open.clear()

    def open(self) -> None:
        """Let through again, what has come meanwhile first."""
        self._open.set()

    async def cut(self) -> None:
        """End all connections; new ones may be made."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._server is not None
        if not self._server.is_serving():
            # Let in at the last moment: nobody would close it any more.
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
