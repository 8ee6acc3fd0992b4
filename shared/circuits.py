"""Circuits in Redis: what the replicas that call a provider tell each other, and an operator.

    consulta:circuit:{name}     hash: state (open, closed), open_until, openings, cause,
                                probe_id, probe_until, forced; instants are ms of Redis' clock
    consulta:circuits           hash: {name}|{instance} -> that replica's report
    consulta:circuits:names     zset: circuit -> when a replica last reported on it

Each replica judges by its own window of calls. What it shares is the verdict: not to call until
some instant, and who makes the one call that tries the provider then.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from msgspec import Struct, field, json

from shared.messages import instant
from shared.store import Store

State = Literal["FECHADO", "MEIO_ABERTO", "ABERTO"]
Forced = Literal["", "ABERTO", "FECHADO"]

_REPORTS: Final = "consulta:circuits"
_NAMES: Final = "consulta:circuits:names"
# A replica reports each second; one that has not for so long is gone.
_ALIVE_MS: Final = 15_000
# A circuit nobody holds any more is shown for a day: its enricher may only be down.
_LISTED_MS: Final = 86_400_000
_WORST: Final[tuple[State, ...]] = ("FECHADO", "MEIO_ABERTO", "ABERTO")


class Report(Struct, kw_only=True):
    """A circuit as one replica sees it; the counts are since that replica started."""

    state: State = field(name="estado")
    failures: int = field(name="falhas")
    successes: int = field(name="sucesso")
    cause: str = field(name="motivo", default="")
    reopens: str | None = field(name="reabre_em", default=None)


class Overview(Report, kw_only=True):
    """A circuit over all replicas: the worst state, the sums of their counts."""

    forced: bool = field(name="forcado")
    replicas: int


@dataclass(frozen=True)
class Known:
    """What all replicas know of a circuit. Durations are seconds from the reading on.

    `is_open` is None where nobody has told anything: then a replica goes by what it knows.
    """

    is_open: bool | None
    open_for: float
    openings: int
    cause: str
    probing_for: float
    forced: Forced


@dataclass(frozen=True)
class Leave:
    """The answer to a replica that wants to try a provider; `seconds` to wait if it may not."""

    verdict: Literal["granted", "closed", "open", "probing"]
    seconds: float = 0.0
    openings: int = 0
    cause: str = ""


class Board:
    """Where circuits are told and read. Every method raises StoreUnavailable.

    Args:
        clock: milliseconds of Unix time, for tests; without it Redis' own clock counts.
    """

    def __init__(self, store: Store, clock: Callable[[], int] = lambda: 0) -> None:
        self._store, self._clock = store, clock

    async def tick(self, instance: str, reports: Mapping[str, Report]) -> dict[str, Known]:
        """Report on this replica's circuits and learn of all others, in one round trip."""
        if not reports:
            return {}
        keys = [_REPORTS, _NAMES, *map(_key, reports)]
        pairs = [part for name, report in reports.items() for part in (name, json.encode(report))]
        found = await self._store.run(
            "circuit_tick", keys, self._clock(), instance, _ALIVE_MS, *pairs
        )
        return {name: _known(*values) for name, values in zip(reports, found, strict=True)}

    async def leave(self, instance: str, names: list[str]) -> None:
        """Take a replica's reports down: it ends."""
        if names:
            await self._store.do("HDEL", _REPORTS, *(f"{name}|{instance}" for name in names))

    async def open(
        self, name: str, seconds: float, *, openings: int, cause: str, probe: str = ""
    ) -> None:
        """Let nobody call for so long; of several such words the longest counts."""
        about = (round(seconds * 1000), openings, cause, probe)
        await self._store.run("circuit_open", [_key(name)], self._clock(), *about)

    async def ask(self, name: str, probe: str, lease: float) -> Leave:
        """Ask for the one probe; a lease of so many seconds outlives a process that dies."""
        verdict, left, openings, cause = await self._store.run(
            "circuit_probe", [_key(name)], self._clock(), probe, round(lease * 1000)
        )
        return Leave(verdict.decode(), int(left) / 1000, int(openings), cause.decode())

    async def release(self, name: str, probe: str, *, well: bool) -> None:
        """Give the lease back; a probe that went well closes the circuit for everybody."""
        await self._store.run("circuit_release", [_key(name)], self._clock(), probe, int(well))

    async def force(self, name: str, forced: Forced) -> None:
        """Hold a circuit open or closed, or ("") leave it to itself again."""
        await self._store.do("HSET", _key(name), "forced", forced)

    async def overview(self) -> dict[str, Overview]:
        """Every circuit, those nobody has called through yet included, by name."""
        circuits, alive = await self._store.run(
            "circuit_view", [_REPORTS, _NAMES], self._clock(), _ALIVE_MS, _LISTED_MS
        )
        reports: dict[str, list[Report]] = {}
        for field_, report in zip(alive[::2], alive[1::2], strict=True):
            name = field_.decode().rpartition("|")[0]
            reports.setdefault(name, []).append(_decoder.decode(report))
        rows = {
            name.decode(): (values, reports.get(name.decode(), [])) for name, *values in circuits
        }
        return {name: _overview(*rows[name]) for name in sorted(rows)}


_decoder = json.Decoder(Report)


def _key(name: str) -> str:
    return f"consulta:circuit:{name}"


def _known(
    state: bytes, open_ms: int, openings: int, cause: bytes, probe_ms: int, forced: bytes
) -> Known:
    return Known(
        is_open={b"open": True, b"closed": False}.get(state),
        open_for=open_ms / 1000,
        openings=openings,
        cause=cause.decode(),
        probing_for=probe_ms / 1000,
        forced=cast("Forced", forced.decode()),
    )


def _overview(shared: list[Any], reports: list[Report]) -> Overview:
    state, open_ms, cause, forced = shared
    # What one replica has just told counts at once, though the others hear of it next second.
    told: State = "FECHADO"
    if state == b"open":
        told = "ABERTO" if open_ms else "MEIO_ABERTO"
    worst = max([told, *(report.state for report in reports)], key=_WORST.index)
    if forced:
        worst = forced.decode()
    causes = [report.cause for report in reports if report.state == worst and report.cause]
    reopens = [report.reopens for report in reports if report.reopens]
    if open_ms:
        reopens.append(instant(time.time() + open_ms / 1000))
    reason = "forced" if forced else cause.decode() or (causes or [""])[0]
    return Overview(
        state=worst,
        failures=sum(report.failures for report in reports),
        successes=sum(report.successes for report in reports),
        cause="" if worst == "FECHADO" and not forced else reason,
        reopens=max(reopens) if worst == "ABERTO" and reopens and not forced else None,
        forced=bool(forced),
        replicas=len(reports),
    )
