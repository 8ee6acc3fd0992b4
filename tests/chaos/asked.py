"""One lookup of a load, and what its asker was told."""

import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shared.identifiers import Kind
from shared.messages import TERMINAL
from shared.stages import DEFAULT


@dataclass
class Asked:
    """A lookup as its asker sees it. `events` are the bodies by sequence number."""

    kind: Kind
    identifier: str
    task_id: str = ""
    events: dict[int, bytes] = field(default_factory=dict)
    # Answers that were no: 503, or a broker that did not confirm. Nothing was accepted.
    refused: int = 0
    # Asked, but the connection broke before the answer: it may or may not have been accepted.
    unanswered: int = 0
    reconnects: int = 0
    # Deliveries of what was known already, which only the bus may make.
    repeated: int = 0
    tried: bool = False
    accepted: float = 0.0
    ended: float = 0.0

    def body(self) -> dict[str, Any]:
        """The lookup as a request, with more time than any outage of a test takes."""
        return {"identificador": self.identifier, "tipo": self.kind, "prazo": 300}

    def was_accepted(self) -> None:
        self.tried, self.accepted = True, time.monotonic()

    def hear(self, seq: int, body: bytes) -> bool:
        """Take an event; False if it was known, and then it has to be the same."""
        known = self.events.setdefault(seq, body)
        assert known == body, f"event {seq} was told in two versions:\n{known!r}\n{body!r}"
        if self.is_complete and not self.ended:
            self.ended = time.monotonic()
        return known is body

    @property
    def is_complete(self) -> bool:
        """Whether every event up to a terminal one is here."""
        last = max(self.events, default=0)
        return len(self.events) == last > 0 and _type(self.events[last]) in TERMINAL

    @property
    def milliseconds(self) -> int:
        """From acceptance to the terminal event."""
        return round((self.ended - self.accepted) * 1000)

    def check(self) -> None:
        """Every event once, one end, and that a good one: its providers were well all the time."""
        told = [msgspec.json.decode(self.events[seq]) for seq in sorted(self.events)]
        types = [event["tipo"] for event in told]
        assert [event["seq"] for event in told] == list(range(1, len(told) + 1)), types
        assert {event["task_id"] for event in told} == {self.task_id}
        assert [name for name in types if name in TERMINAL] == ["completo"], types
        assert types[-1] == "completo", types
        stages = {event["tipo"]: event["situacao"] for event in told if "situacao" in event}
        del stages["completo"]
        assert set(stages) == {*DEFAULT[self.kind], "analysis"}, types
        assert set(stages.values()) <= {"ok", "nao_encontrado"}, stages
        once = [name for name in types if name != "aguardando"]
        assert len(once) == len(set(once)), types


def _type(body: bytes) -> str:
    event: dict[str, Any] = msgspec.json.decode(body)
    return str(event["tipo"])
