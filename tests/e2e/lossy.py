"""A way to a server that can be cut, and mended, at a moment of the test's choice."""

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class LossyWay:
    """Forwards TCP to the server of a URL; `url` is the same one by way of here."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self.url = ""
        self.connections = 0
        # Cut right after a client has sent this, so that it cannot hear the answer.
        self.cut_after = b""
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.mend()
        user = self._parts.netloc.rpartition("@")[0]
        self.url = self._parts._replace(netloc=f"{user}@127.0.0.1:{self._port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def mend(self) -> None:
        """Let connections through again."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Tear every connection, and refuse new ones."""
        if self._server is not None:
            self._server.close()
        self.tear()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def tear(self) -> None:
        """Tear every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        host, port = self._parts.hostname, self._parts.port
        far_reader, far_writer = await asyncio.open_connection(host, port)
        self._writers |= {writer, far_writer}
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pipe(source, target, watch=source is reader))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pipe(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, watch: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
                if watch and self.cut_after and self.cut_after in data:
                    self.cut_after = b""
                    self.tear()
        target.close()
        self._writers.discard(target)
