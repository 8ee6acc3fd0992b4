"""The client of `make demo`: one lookup twice, each event as it comes."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from consulta.cli.output import compact
from consulta.errors import ClientError
from consulta.http import HttpClient
from shared.identifiers import Kind
from shared.messages import Event

_KIND: Final[Kind] = "cpf"
_IDENTIFIER: Final = "111.444.777-35"
_LIMIT_S: Final = 90
_WIDTH: Final = 60


class DemoFailed(Exception):
    """The stack runs, but did not do what the demo shows; the message says what it did."""


@dataclass(frozen=True)
class Seen:
    """One event and when it came, in milliseconds since the request."""

    ms: float
    event: Event


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
    try:
        # A stream that is lost is not what the demo shows, so it is not taken up again.
        async with asyncio.timeout(_LIMIT_S), HttpClient(gateway, patience=0) as client:
            miss = await _lookup(client, "1st lookup: nothing cached")
            hit = await _lookup(client, "2nd lookup: the same again")
    except (ClientError, TimeoutError) as error:
        raise DemoFailed(f"the lookup did not come to its end: {error}") from error
    if miss.event.cached:
        raise DemoFailed("the first lookup was already served from the cache")
    if not hit.event.cached:
        raise DemoFailed("the second lookup was not served from the cache")
    print("\n  lookup       completo after")
    print(f"  miss       {miss.ms:11.1f} ms")
    print(f"  hit        {hit.ms:11.1f} ms")
    print(f"\nhit {miss.ms / hit.ms:.0f} times faster")


async def _lookup(client: HttpClient, title: str) -> Seen:
    """Stream one lookup to its end and print its events; returns ``completo``."""
    # The connection is there already when the clock starts: its set-up is no part of a lookup.
    await client.cache_statistics()
    print(f"\n{title} ({_KIND} {_IDENTIFIER})")
    print(f"  {'ms':>8}  {'evento':<10} {'situacao':<15} {'origem':<17} dados")
    last, began = None, time.perf_counter()
    async for event in client.lookup(_KIND, _IDENTIFIER):
        last = Seen((time.perf_counter() - began) * 1000, event)
        outcome, source = event.outcome or "", event.source or ""
        print(
            f"  {last.ms:8.1f}  {event.type:<10} {outcome:<15} {source:<17} "
            f"{compact(event.data, _WIDTH)}",
            flush=True,
        )
    if last is None or last.event.type != "completo":
        raise DemoFailed(f"the stream ended without `completo`, after {last and last.event}")
    return last
