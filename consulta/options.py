"""What can be said about a lookup beside its subject; the same over HTTP and over the bus."""

import random
from typing import Any, Final, Required, TypedDict

import msgspec

from shared.identifiers import Kind
from shared.messages import Lookup, Stage


class Options(TypedDict, total=False):
    """Keyword arguments of a lookup. What is left out is the server's default."""

    priority: int  # 1 (last) to 10 (first); 5
    delay: float  # seconds before it starts, up to 12 days; 0
    deadline: float  # seconds from its start until it has ended; 60
    refresh: bool  # pass the cache by; False
    stages: list[Stage]  # only these; the usual ones of the kind
    purpose: str  # what the data is for (finalidade)
    legal_basis: str  # on what legal basis (base_legal)


class Item(Options, total=False):
    """One lookup of many."""

    kind: Required[Kind]
    identifier: Required[str]


_NAMES: Final = {entry.name: entry.encode_name for entry in msgspec.structs.fields(Lookup)}


def body_of(item: Item) -> bytes:
    """A lookup as JSON. What is not said is left out: the server's defaults differ by call."""
    wire: dict[str, Any] = {_NAMES[name]: value for name, value in item.items()}
    return msgspec.json.encode(wire)


class Pause:
    """Growing, jittered waits between attempts, so that clients do not come back all at once."""

    def __init__(self, first: float = 0.5, longest: float = 10.0) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def reset(self) -> None:
        """It went well: begin again with the shortest wait."""
        self._next = self._first

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait now.

        Args:
            at_least: what the server asked for, if it did.
        """
        wait = self._next * random.uniform(0.5, 1.0)  # noqa: S311 - spreads clients, no secret
        self._next = min(self._next * 2, self._longest)
        return max(wait, at_least)
