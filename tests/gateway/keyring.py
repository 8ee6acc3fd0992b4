"""Keys for a test to call a gateway with."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from shared.keys import SCOPES, Scope, add
from tests.gateway.gateways import PATIENCE, Gateway


@dataclass
class Keyring:
    """A file of keys."""

    file: Path

    def make(
        self,
        *scopes: Scope,
        tenant: str = "ours",
        rate: str = "off",
        most: int = 99,
        highest: int = 10,
    ) -> str:
        return add(self.file, tenant, list(scopes or SCOPES), rate, most, highest)


async def known(gateway: Gateway, key: str) -> Gateway:
    """The gateway called with a key it has just been given."""
    caller = gateway.using(key)
    async with asyncio.timeout(PATIENCE):
        while (await caller.json("GET", "/api/consultas/x"))[0] == 401:
            await asyncio.sleep(0.01)
    return caller
