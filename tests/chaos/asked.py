"""One lookup of a load, and what its asker was told."""

import re
import time
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from shared.identifiers import Kind
from shared.messages import STAGES, TERMINAL, Stage
from shared.stages import DEFAULT

# What a lookup may end after its deadline.
GRACE_S: Final = 5.0
# How much longer its asker listens, to tell an end that came late from none at all.
PATIENCE_S: Final = 2.0
GOOD: Final = frozenset({"ok", "nao_encontrado"})


def lasting(body: bytes) -> bytes:
    """What of an event is the same whenever it is told.

    A hit's, which has a task_id of version 8, are made anew each time of the same cached answer:
    with the instant, and the age that its data has by then.
    """
    if body[26:27] != b"8":
        return body
    return re.sub(rb'"timestamp":"[^"]*"|"idade_s":\d+', b"", body)


@dataclass
class Asked:
    """A lookup as its asker sees it. `events` are the bodies by sequence number.

    Instants are Unix seconds, as in the providers' log.
    """

    kind: Kind
    identifier: str
    way: Literal["web", "bus"]
    seconds: float
    stages: list[Stage] | None = None
    task_id: str = ""
    events: dict[int, bytes] = field(default_factory=dict)
    # Answers that were no: 503, or a broker that did not confirm. Nothing was accepted.
    refused: int = 0
    # Asked, but the connection broke before the answer: it may or may not have been accepted.
    unanswered: int = 0
    reconnects: int = 0
    # Deliveries of what was known already, which only the bus may make.
    repeated: int = 0
    # Events that came in two versions.
    contradicted: int = 0
    # How its asker was told that its state has gone: "404", "reset".
    lost: str = ""
    # Whether somebody can tell its asker of its end.
    owed: bool = True
    # Nobody could before then.
    away_until: float = 0.0
    tried: bool = False
    accepted: float = 0.0
    ended: float = 0.0

    def body(self) -> dict[str, Any]:
        """The lookup as a request."""
        body = {"identificador": self.identifier, "tipo": self.kind, "prazo": self.seconds}
        return body if self.stages is None else {**body, "etapas": self.stages}

    def was_accepted(self) -> None:
        self.tried, self.accepted = True, time.time()

    def hear(self, seq: int, body: bytes) -> bool:
        """Take an event; False if it was known, and then it has to be the same."""
        known = self.events.setdefault(seq, body)
        self.contradicted += lasting(known) != lasting(body)
        if self.is_complete and not self.ended:
            self.ended = time.time()
        return known is body

    def was_lost(self, how: str) -> None:
        """Note that the asker was told so."""
        self.lost, self.ended = how, self.ended or time.time()

    @property
    def deadline(self) -> float:
        """When its time is up."""
        return self.accepted + self.seconds

    @property
    def due(self) -> float:
        """When its asker has to have been told of its end."""
        return max(self.deadline, self.away_until) + GRACE_S

    @property
    def is_complete(self) -> bool:
        """Whether every event up to a terminal one is here."""
        last = max(self.events, default=0)
        return len(self.events) == last > 0 and self._type(last) in TERMINAL

    @property
    def is_over(self) -> bool:
        """Whether nothing more is waited for."""
        given_up = bool(self.accepted) and time.time() > self.due + PATIENCE_S
        return bool(self.ended) or given_up

    @property
    def has_an_answer(self) -> bool:
        """Whether it heard of a stage. That of a phone number asks no provider."""
        return self.kind != "telefone" and any(self._type(seq) in STAGES for seq in self.events)

    @property
    def ends(self) -> int:
        """How many ends it was told of."""
        return sum(self._type(seq) in TERMINAL for seq in self.events)

    @property
    def end(self) -> dict[str, Any]:
        """The terminal event; empty if there is none."""
        told = [event for event in self.told() if event["tipo"] in TERMINAL]
        return told[-1] if told else {}

    @property
    def code(self) -> str:
        """The reason an `error` gave."""
        return str((self.end.get("dados") or {}).get("codigo", ""))

    @property
    def outcomes(self) -> dict[str, str]:
        """How each stage ended, and the analysis."""
        return {
            event["tipo"]: event["situacao"]
            for event in self.told()
            if "situacao" in event and event["tipo"] not in TERMINAL
        }

    @property
    def bad(self) -> dict[str, str]:
        """What of it did not end well."""
        return {name: how for name, how in self.outcomes.items() if how not in GOOD}

    @property
    def milliseconds(self) -> int:
        """From acceptance to the terminal event."""
        return round((self.ended - self.accepted) * 1000) if self.ended else 0

    def told(self) -> list[dict[str, Any]]:
        """The events in order."""
        return [msgspec.json.decode(self.events[seq]) for seq in sorted(self.events)]

    def check(self, **but: str) -> None:
        """Every event once, one `completo`, and everything in it good.

        Args:
            but: by stage, or `analysis`, how else it may have ended.
        """
        types = [event["tipo"] for event in self.told()]
        assert sorted(self.events) == list(range(1, len(types) + 1)), types
        assert {event["task_id"] for event in self.told()} == {self.task_id}
        assert [name for name in types if name in TERMINAL] == ["completo"], (types, self.end)
        assert types[-1] == "completo", types
        assert set(self.outcomes) == {*(self.stages or DEFAULT[self.kind]), "analysis"}, types
        bad = {name: how for name, how in self.bad.items() if but.get(name) != how}
        assert bad == {}, (self.kind, self.way, self.outcomes)
        once = [name for name in types if name != "aguardando"]
        assert len(once) == len(set(once)), types

    def _type(self, seq: int) -> str:
        event: dict[str, Any] = msgspec.json.decode(self.events[seq])
        return str(event["tipo"])
