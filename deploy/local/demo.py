"""The client of `make demo`: one lookup twice, each event as it comes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

_BODY = {"identificador": "111.444.777-35", "tipo": "cpf"}
_LIMIT = aiohttp.ClientTimeout(total=90)


class DemoFailed(Exception):
    """The stack runs, but did not do what the demo shows; the message says what it did."""


@dataclass(frozen=True)
class Seen:
    """One event and when it came, in milliseconds since the request."""

    ms: float
    event: dict[str, Any]


async def demonstrate(gateway: str, check: Callable[[], None]) -> None:
    """Look up twice at the gateway and print both.

    Args:
        gateway: its address, ``http://host:port``.
        check: called a few times a second; what it raises ends the demo.

    Raises:
        DemoFailed: no ``completo``, or the second lookup was not served from the cache.
    """
    client = asyncio.create_task(_twice(gateway))
    try:
        while not client.done():
            await asyncio.wait({client}, timeout=0.2)
            check()
    finally:
        client.cancel()
    client.result()


async def _twice(gateway: str) -> None:
    async with aiohttp.ClientSession(gateway, timeout=_LIMIT) as session:
        miss = await _lookup(session, "1st lookup: nothing cached")
        hit = await _lookup(session, "2nd lookup: the same again")
    if miss.event.get("cache"):
        raise DemoFailed("the first lookup was already served from the cache")
    if not hit.event.get("cache"):
        raise DemoFailed("the second lookup was not served from the cache")
    print("\n  lookup       completo after")
    print(f"  miss       {miss.ms:11.1f} ms")
    print(f"  hit        {hit.ms:11.1f} ms")
    print(f"\nhit {miss.ms / hit.ms:.0f} times faster")


async def _lookup(session: aiohttp.ClientSession, title: str) -> Seen:
    """Stream one lookup to its end and print its events; returns ``completo``."""
    # The connection is there already when the clock starts: its set-up is no part of a lookup.
    async with session.get("/") as warm:
        await warm.read()
    print(f"\n{title} ({_BODY['tipo']} {_BODY['identificador']})")
    print(f"  {'ms':>8}  {'evento':<10} {'situacao':<15} {'origem':<17} dados")
    last = None
    async for last in _stream(session):
        event = last.event
        told = [str(event.get(name, "")) for name in ("tipo", "situacao", "origem")]
        print(
            f"  {last.ms:8.1f}  {told[0]:<10} {told[1]:<15} {told[2]:<17} "
            f"{_extract(event.get('dados'))}",
            flush=True,
        )
    if last is None or last.event.get("tipo") != "completo":
        raise DemoFailed(f"the stream ended without `completo`, after {last and last.event}")
    return last


async def _stream(session: aiohttp.ClientSession) -> AsyncIterator[Seen]:
    began = time.perf_counter()
    async with session.post("/api/consulta-stream", json=_BODY) as answer:
        if answer.status != 200:
            raise DemoFailed(f"the gateway answered {answer.status}: {await answer.text()}")
        data: list[str] = []
        async for raw in answer.content:
            line = raw.decode().rstrip("\r\n")
            if line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            elif not line and data:
                yield Seen((time.perf_counter() - began) * 1000, json.loads("\n".join(data)))
                data.clear()


def _extract(data: Any, width: int = 60) -> str:
    """The start of the data, on one line."""
    if not data:
        return ""
    text = json.dumps(data, ensure_ascii=False)
    return text if len(text) <= width else text[: width - 1] + "…"
