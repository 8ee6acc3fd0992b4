"""Thousands of clients in one process: each a socket, a count, and nothing else."""

import asyncio
import socket
from collections.abc import Sequence
from typing import cast
from urllib.parse import urlsplit


class Tally:
    """Events that all listeners together have had."""

    def __init__(self) -> None:
        self.events = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def add(self, number: int) -> None:
        self.events += number
        if self.events >= self._wanted:
            self._reached.set()

    async def reaches(self, wanted: int, patience: float) -> None:
        """Wait until there have been so many."""
        self._wanted = wanted
        self._reached.clear()
        if self.events < wanted:
            await asyncio.wait_for(self._reached.wait(), patience)


class Listener(asyncio.Protocol):
    """An open stream: it counts its events."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request, self._tally = request, tally
        self._tail = b""
        self.seen = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is one, but uvloop's does not say so.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        # One byte less than the mark is kept, so that it is found where two reads meet, once.
        told = (self._tail + data).count(b"\nid: ")
        self._tail = data[-4:]
        self.seen += told
        self._tally.add(told)


def request(url: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode()


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


async def listen(url: str, paths: Sequence[str], tally: Tally) -> list[Listener]:
    """A listener at each path, connected a hundred at a time."""
    loop = asyncio.get_running_loop()
    host, port = address(url)
    listeners: list[Listener] = []

    async def one(path: str) -> None:
        _, listener = await loop.create_connection(
            lambda: Listener(request(url, path), tally), host, port
        )
        listeners.append(listener)

    for place in range(0, len(paths), 100):
        await asyncio.gather(*map(one, paths[place : place + 100]))
    return listeners


def hang_up(listeners: Sequence[Listener]) -> None:
    for listener in listeners:
        if listener.transport is not None:
            listener.transport.abort()


async def deaf(url: str, paths: Sequence[str]) -> list[socket.socket]:
    """A client at each path that asks, and never reads."""
    loop = asyncio.get_running_loop()
    connections = []
    for path in paths:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await loop.sock_connect(connection, address(url))
        await loop.sock_sendall(connection, request(url, path))
        connections.append(connection)
    return connections
