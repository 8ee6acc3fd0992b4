"""Look whether the providers can be reached, without calling them: a connection costs no quota."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from enricher.providers.base import Provider
from shared import metrics, reach
from shared.errors import StoreUnavailable
from shared.store import Store

# A little more often than the health check that shows it.
EVERY_S: Final = 240.0
PATIENCE_S: Final = 5.0


async def watch(store: Store, providers: Iterable[Provider]) -> None:
    """Look at each provider that has an address, now and then, until cancelled."""
    addresses = {provider.name: provider.address for provider in providers if provider.address}
    while True:
        found = await look(addresses)
        for name, reachable in found.items():
            metrics.provider_reachable.labels(name).set(reachable)
        with contextlib.suppress(StoreUnavailable):
            await reach.tell(store, found)
        await asyncio.sleep(EVERY_S)


async def look(addresses: Mapping[str, str]) -> dict[str, bool]:
    """Which of these addresses accept a connection, by name."""
    answers = await asyncio.gather(*(_accepts(address) for address in addresses.values()))
    return dict(zip(addresses, answers, strict=True))


async def _accepts(address: str) -> bool:
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
