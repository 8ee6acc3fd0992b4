"""What a hit answers with, as bytes, and the same standing ready to be given again.

Of one cached answer only its ages, its instants and its task_id are others each time it is given.
So it is written once by the code that writes every answer, with marks in their place, and gaps are
made of the marks.
"""

import re
import secrets
import time
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from gateway.sse import Head, frame
from shared.cache import Entries
from shared.identifiers import Kind
from shared.messages import STAGES, Event, Stage, addressed, encode, unix
from shared.results import started

# The `dados` of `completo` as JSON; or all events as SSE frames.
Form = Literal["result", "frames"]

# Nobody can have them in their data: they are known to this process alone.
_TASK: Final = secrets.token_hex(16)
_INSTANT: Final = secrets.token_hex(16)
_AGE: Final = secrets.randbelow(10**15) + 10**15
_GAPS: Final = {_TASK.encode(): b"%(task)b", _INSTANT.encode(): b"%(at)b"} | {
    b"%d" % (_AGE + place): b"%%(%d)d" % place for place in range(len(STAGES))
}
_MARKS: Final = re.compile(b"|".join(_GAPS))
# Of a ready answer, beside its text: its objects, its places in tables, its part of the heap.
_OVERHEAD: Final = 1500


class Question(msgspec.Struct, frozen=True):
    """What a hit answers: whose question it is, about whom, which stages, and what for."""

    tenant: str
    kind: Kind
    digest: str
    stages: tuple[Stage, ...]
    purpose: str | None = None
    legal_basis: str | None = None

    @property
    def subject(self) -> str:
        return f"{self.kind}:{self.digest}"


def written(form: Form, events: Sequence[Event], task_id: str, first: int = 1) -> bytes:
    """All events of a lookup, the first of which has the number `first`."""
    if form == "result":
        return msgspec.json.encode(events[-1].data)
    return b"".join(
        frame(Head(event.type, seq), addressed(encode(event), task_id, seq))
        for seq, event in enumerate(events, first)
    )


def identity(stages: Sequence[Stage], entries: Entries) -> list[str]:
    """What tells this cached answer from any other there was or will be.

    The analysis is none of it: it is made of these answers, and made again for whoever is answered
    with them on the bus, which is no reason for whoever comes back to a hit to find it gone.
    """
    named = [entries[name] for name in stages]
    return [text for entry in named for text in (entry.fetched, entry.source, entry.outcome)]


def fresh_until(stages: Sequence[Stage], entries: Entries) -> float:
    """Unix seconds until which it is an answer."""
    return min(entries[stage].fresh_until for stage in stages)


class Ready:
    """One cached answer in one form.

    Args:
        events: of a lookup that was just answered with it; they are of no other use afterwards.
        until: seconds of `time.monotonic` when the cache forgets it.
    """

    __slots__ = ("_since", "_text", "_until", "form", "fresh_until", "identity", "size")

    def __init__(
        self, form: Form, question: Question, entries: Entries, events: list[Event], until: float
    ) -> None:
        named = [entries[stage] for stage in question.stages]
        self.form, self.identity = form, identity(question.stages, entries)
        # When each stage's data was fetched (Unix seconds), by its gap.
        self._since = [(b"%d" % place, unix(entry.fetched)) for place, entry in enumerate(named)]
        self.fresh_until = fresh_until(question.stages, entries)
        self._until = until
        # The first tells what the asker said, and so is written anew each time.
        text = written(form, _marked(events[1:]), _TASK, 2).replace(b"%", b"%%")
        self._text = _MARKS.sub(lambda mark: _GAPS[mark[0]], text)
        self.size = len(self._text) + _OVERHEAD

    def is_fresh(self) -> bool:
        """Whether the cache would still answer with it, if nobody has changed it."""
        return time.time() < self.fresh_until and time.monotonic() < self._until

    def given(self, question: Question, task_id: str) -> bytes:
        """The answer, at this moment."""
        now = time.time()
        gaps: dict[bytes, int | bytes] = {
            gap: max(0, int(now - since)) for gap, since in self._since
        }
        if self.form == "result":
            return self._text % gaps
        begun = started(question.kind, question.stages, question.purpose, question.legal_basis)
        gaps[b"task"], gaps[b"at"] = task_id.encode(), begun.timestamp.encode()
        return written("frames", [begun], task_id) + self._text % gaps


def _marked(events: list[Event]) -> list[Event]:
    """These events with marks for what is another each time."""
    told = events[-1].data["etapas"]
    place = 0
    for event in events:
        event.timestamp = _INSTANT
        if event.type in STAGES:
            event.age_s = told[event.type]["idade_s"] = _AGE + place
            place += 1
    return events
