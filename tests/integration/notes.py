"""A queue of the tests' own, on the real bus."""

from typing import Final

from msgspec import Struct

from shared.topology import Queue

PATIENCE: Final = 60


class Note(Struct):
    """What it carries."""

    text: str


NOTES: Final = Queue("test.notes", Note)
