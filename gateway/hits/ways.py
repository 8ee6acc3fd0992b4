"""What the same body led to before, so that it need not be read and checked again."""

import secrets
from hashlib import blake2b
from typing import Final, NamedTuple

from gateway.hits.ready import Form, Question
from shared import metrics

# What one takes, with its question.
WAY_BYTES: Final = 700
_SECRET: Final = secrets.token_bytes(16)


class Way(NamedTuple):
    """To whose question a body led, to which answer (by its `identity`), and its task_id."""

    question: Question
    made_of: list[str]
    task_id: str


class Ways:
    """Ways by a keyed print of the body: what it asks for is not to be read from memory.

    Args:
        room: bytes they may take in all.
    """

    def __init__(self, room: int) -> None:
        self._most = room // WAY_BYTES
        # The oldest first.
        self._ways: dict[tuple[Form, bytes], Way] = {}

    def find(self, body: bytes, form: Form) -> Way | None:
        """Where this body led; what it led to may be another by now."""
        return self._ways.get((form, _print(body)))

    def show(self, body: bytes, form: Form, way: Way) -> None:
        """Have the same body find its way again."""
        before = len(self._ways)
        self._ways[form, _print(body)] = way
        if len(self._ways) > self._most:
            del self._ways[next(iter(self._ways))]
        metrics.near_bytes.inc(WAY_BYTES * (len(self._ways) - before))


def _print(body: bytes) -> bytes:
    return blake2b(body, digest_size=16, key=_SECRET).digest()
