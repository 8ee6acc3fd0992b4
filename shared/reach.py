"""Whether providers can be reached at all, as the enrichers that would call them see it.

consulta:reach      hash: provider -> {alcancavel, em}
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import json

from shared.messages import now
from shared.store import Store

_KEY: Final = "consulta:reach"


async def tell(store: Store, found: Mapping[str, bool]) -> None:
    """Write down which providers could be reached just now.

    Raises:
        StoreUnavailable: not written.
    """
    moment = now()
    told = [
        part
        for name, reachable in found.items()
        for part in (name, json.encode({"alcancavel": reachable, "em": moment}))
    ]
    if told:
        await store.do("HSET", _KEY, *told)


async def known(store: Store) -> dict[str, Any]:
    """What was told last of each provider.

    Raises:
        StoreUnavailable: nothing is known.
    """
    return {name: json.decode(told) for name, told in (await store.hash(_KEY)).items()}
