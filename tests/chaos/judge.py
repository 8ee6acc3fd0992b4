"""What became of a load, by what its askers heard and what the providers' log tells."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from enricher.simulator.companies import company
from enricher.simulator.control import digest
from shared.limits import Limit
from tests.chaos.asked import Asked
from tests.queue.provider_log import fullest

# Calls by provider and endpoint, by the stage whose limit they are under.
_STAGES: Final = {
    "telegram": "telegram",
    "bridge_endereco": "endereco", "opencep": "endereco", "viacep": "endereco",
    "brasilapi cep_v1": "endereco", "brasilapi cep_v2": "endereco",
    "bridge_telefone": "telefone",
    "serpro cpf": "cadastro", "minhareceita": "cadastro", "opencnpj": "cadastro",
    "minhareceita updated": "cadastro", "brasilapi cnpj_v1": "cadastro",
}  # fmt: skip
# What is asked for once a subject. (One address serves all companies that have it.)
_ONCE: Final = ("telegram", "bridge_endereco", "bridge_telefone", "minhareceita")
_BILLED: Final = ("serpro cpf",)


@dataclass
class Row:
    """One fault's load. The names of the fields are the heads of the table.

    `in_part` ended in `completo` with a stage that is not good, `failed` in `error`; `lost` were
    told that their state has gone. `called_late` are calls after the deadlines of all who asked.
    `over_the_limit` is how many calls too many the fullest window of any limit held.
    """

    fault: str
    lookups: int
    refused: int
    completed: int
    in_part: int
    failed: int
    lost: int
    without_end: int
    two_ends: int
    two_versions: int
    ended_late: int
    called_twice: int
    billed_twice: int
    called_late: int
    over_the_limit: int
    reconnects: int
    longest_ms: int
    told_twice_on_bus: int
    dead_letters: int

    def check(self, *, excused: Sequence[str] = (), missing: Sequence[str] = ()) -> None:
        """What holds whatever happens.

        Args:
            excused: what may be broken here, by its head.
            missing: of those who did not hear all, what they heard.
        """
        promised = {
            "failed", "lost", "without_end", "two_ends", "two_versions", "ended_late",
            "called_twice", "billed_twice", "called_late", "over_the_limit", "dead_letters",
        } - set(excused)  # fmt: skip
        broken = {name: count for name, count in asdict(self).items() if count and name in promised}
        assert broken == {}, "\n".join([f"{self.fault}: {broken}", *missing[:10]])


def judged(
    fault: str,
    load: Sequence[Asked],
    calls: Sequence[Mapping[str, Any]],
    limits: Mapping[str, Limit],
    left: Mapping[str, int],
) -> Row:
    """Count.

    Args:
        calls: the simulator's log.
        limits: by stage.
        left: messages in queues.
    """
    owed = [asked for asked in load if asked.owed]
    told = [asked for asked in owed if asked.ended]
    by_call = [(call, _name(call)) for call in calls]
    times = Counter((name, call["subject"]) for call, name in by_call)
    return Row(
        fault=fault,
        lookups=len(load),
        refused=sum(asked.refused + asked.unanswered for asked in load),
        completed=sum(_completed(asked) and not asked.bad for asked in owed),
        in_part=sum(_completed(asked) and bool(asked.bad) for asked in owed),
        failed=sum(asked.end.get("tipo") == "error" for asked in owed),
        lost=sum(bool(asked.lost) for asked in owed),
        without_end=len(owed) - len(told),
        two_ends=sum(asked.ends > 1 for asked in load),
        two_versions=sum(asked.contradicted for asked in owed),
        ended_late=sum(asked.ended > asked.due for asked in told),
        called_twice=sum(n - 1 for (name, _), n in times.items() if name in _ONCE),
        billed_twice=sum(n - 1 for (name, _), n in times.items() if name in _BILLED),
        called_late=_late(load, by_call),
        over_the_limit=_over(by_call, limits),
        reconnects=sum(asked.reconnects for asked in load),
        longest_ms=max(asked.milliseconds for asked in load),
        told_twice_on_bus=sum(asked.repeated for asked in load),
        dead_letters=sum(count for queue, count in left.items() if queue.endswith(".dead")),
    )


Named = Sequence[tuple[Mapping[str, Any], str]]


def missing(load: Sequence[Asked]) -> list[str]:
    """What those heard who did not hear all, for whoever reads the failure."""
    return [
        f"{asked.kind} by the {asked.way}, {asked.task_id}: "
        + ", ".join(f"{seq} {asked.events[seq].decode()}" for seq in sorted(asked.events))
        for asked in load
        if asked.owed and not asked.ended
    ]


def _late(load: Sequence[Asked], calls: Named) -> int:
    deadlines: dict[str, float] = {}
    for asked in load:
        for subject in map(digest, _looked_up(asked)):
            deadlines[subject] = max(deadlines.get(subject, 0.0), asked.deadline)
    return sum(
        call["time"] > deadlines.get(call["subject"], call["time"])
        for call, name in calls
        if name in _STAGES
    )


def _looked_up(asked: Asked) -> list[str]:
    """What providers are asked about for a lookup: of a company also its address."""
    found = company(asked.identifier) if asked.kind == "cnpj" else None
    return [asked.identifier] if found is None else [asked.identifier, found.address.cep]


def _over(calls: Named, limits: Mapping[str, Limit]) -> int:
    worst = 0
    for stage, limit in limits.items():
        times = [call["time"] for call, name in calls if _STAGES.get(name) == stage]
        for count, seconds in limit.windows:
            worst = max(worst, fullest(times, seconds) - count)
    return worst


def _name(call: Mapping[str, Any]) -> str:
    """The provider, with its endpoint where it has several that count."""
    name = f"{call['provider']} {call['endpoint']}"
    # The date of a registry's data is about no subject.
    several = call["provider"] in {"serpro", "brasilapi"} or call["endpoint"] == "updated"
    return name if several else str(call["provider"])


def _completed(asked: Asked) -> bool:
    return asked.end.get("tipo") == "completo"
