"""How many of many lookups end well while their first provider fails."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from tests.e2e.conftest import Api

ANSWERED = frozenset({"ok", "nao_encontrado", "degradado"})
CONCURRENCY = 40


def ceps(start: int = 0) -> Iterator[str]:
    """CEPs the simulator knows, each another one."""
    for number in range(start, 900_000):
        cep = f"01{number:06d}"
        if not cep.endswith("999"):
            yield cep


@dataclass
class Outcome:
    """What became of a number of lookups; durations in seconds."""

    complete: int = 0
    answered: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    durations: list[float] = field(default_factory=list)

    @property
    def total(self) -> int:
        return len(self.durations)

    @property
    def p95(self) -> float:
        return sorted(self.durations)[int(0.95 * self.total)]

    def __str__(self) -> str:
        sources = ", ".join(f"{name} {count}" for name, count in sorted(self.sources.items()))
        return (
            f"{self.total} lookups: {self.complete / self.total:.2%} completo, "
            f"{self.answered / self.total:.2%} with every stage answered ({sources}), "
            f"p95 {self.p95 * 1000:.0f} ms"
        )


async def measured(
    api: Api, count: int, *, start: int = 0, concurrency: int = CONCURRENCY
) -> Outcome:
    """Run so many different CEP lookups, a few at a time, each to its end."""
    outcome, waiting = Outcome(), islice(ceps(start), count)

    async def client() -> None:
        for cep in waiting:
            began = time.monotonic()
            last = (await api.stream(cep, "cep"))[-1]
            outcome.durations.append(time.monotonic() - began)
            if last["tipo"] != "completo":
                continue
            outcome.complete += 1
            stages = last["dados"]["etapas"].values()
            outcome.answered += all(stage["situacao"] in ANSWERED for stage in stages)
            for stage in stages:
                source = stage.get("origem", "nobody")
                outcome.sources[source] = outcome.sources.get(source, 0) + 1

    await asyncio.gather(*(client() for _ in range(concurrency)))
    return outcome
