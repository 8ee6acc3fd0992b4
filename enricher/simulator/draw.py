"""Choices that look random and are decided by a seed."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

Item = TypeVar("Item")


class Draw:
    """A few dozen choices out of one digest; `random.Random` costs ten times as much to seed."""

    __slots__ = ("_number",)

    def __init__(self, seed: str) -> None:
        self._number = int.from_bytes(blake2b(seed.encode()).digest(), "big")

    def below(self, limit: int) -> int:
        """A number from 0 up to, without, `limit`."""
        self._number, rest = divmod(self._number, limit)
        return rest

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def digits(self, count: int) -> str:
        """That many decimal digits."""
        return f"{self.below(10**count):0{count}d}"

    def date(self, first_year: int, last_year: int) -> str:
        """A day in these years, as YYYY-MM-DD."""
        year = first_year + self.below(last_year - first_year + 1)
        return f"{year}-{1 + self.below(12):02d}-{1 + self.below(28):02d}"
