"""A way to a server over TCP, that does with each connection what it is made for."""

import asyncio
from typing import Self


class Proxy:
    """Lets clients in on a port of its own, each with a task that serves it until it is cut."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def cut(self) -> None:
        """End all connections; new ones may be made."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What is done with a connection, until it is cancelled."""

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._server is not None
        if not self._server.is_serving():
            # Let in at the last moment: nobody would close it any more.
            writer.transport.abort()
            return
        task = asyncio.create_task(self.serve(reader, writer))
        self._tasks.add(task)

        def over(task: asyncio.Task[None]) -> None:
            # Also of one cancelled before it could begin.
            writer.transport.abort()
            self._tasks.discard(task)

        task.add_done_callback(over)
