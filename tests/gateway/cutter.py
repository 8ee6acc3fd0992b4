"""A way to a gateway on which streams break: each is cut at a random byte, over and over."""

import asyncio
import random
import socket
import struct
from typing import Final
from urllib.parse import urlsplit

from tests.gateway.proxy import Proxy

# Beyond the end of most streams: some have to come through.
FARTHEST: Final = 5_000
SPARED: Final = 0.1


class Cutter(Proxy):
    """Forwards TCP to the server of a URL; `url` is the same one by way of here.

    Only what answers a request for a stream is cut: somewhere in its header, an event, a letter.
    """

    def __init__(self, url: str, seed: int) -> None:
        super().__init__()
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._random = random.Random(seed)
        self.cuts = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        # Of the answer under way: the byte to cut it at, if any, and what has come of it.
        cut: int | None = None
        told = bytearray()

        async def forth() -> None:
            nonlocal cut
            while data := await reader.read(65536):
                spared = b"/eventos" not in data or self._random.random() < SPARED
                cut = None if spared else self._random.randrange(FARTHEST)
                told.clear()
                far_writer.write(data)

        async def back() -> None:
            while data := await far_reader.read(65536):
                before = len(told)
                told.extend(data)
                if cut is not None and len(told) >= cut:
                    writer.write(data[: max(0, cut - before)])
                    self.cuts += 1
                    return
                writer.write(data)
                await writer.drain()

        ways = [asyncio.create_task(forth()), asyncio.create_task(back())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            # A connection may end with or without a farewell. But not with one inside the header,
            # which browsers then take for the whole of it: servers send it in one piece.
            if b"\r\n\r\n" not in told[:cut] or self._random.random() < 0.5:
                _reset(writer)
            far_writer.transport.abort()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Have the connection end with RST, not with FIN."""
    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
