"""What the makers of an analysis see of a stage."""

from dataclasses import dataclass
from typing import Any, Final

from shared.messages import Outcome, Stage

# Only these bring data into a result.
_TELLING: Final = frozenset({"ok", "degradado"})


@dataclass(frozen=True)
class Step:
    """How one stage of the flight ended.

    `data` holds only fields of the stage's record that are told and well typed. It is empty
    where the outcome vouches for no data. `age_s` is the age of the data in seconds.
    """

    stage: Stage
    outcome: Outcome
    source: str | None
    age_s: int
    data: dict[str, Any]

    @property
    def is_answered(self) -> bool:
        """Whether we know now what we asked: "there is no such thing" is an answer too."""
        if self.outcome == "degradado":
            return bool(self.data)
        return self.outcome in {"ok", "nao_encontrado"}

    @staticmethod
    def tells(outcome: Outcome) -> bool:
        """Whether data that comes with this outcome may be used."""
        return outcome in _TELLING
