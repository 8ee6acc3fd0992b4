"""Periodic jobs by cron expression: each slot runs once, however many replicas there are.

A slot is a moment its expression names. Whoever first claims a slot in Redis runs it; the claim
and the outcome stand in one hash a job, which is also what `/api/agenda` shows:

    consulta:job:{name}     hash: slot, started, lease, claimant, finished, outcome, result, missed

Slots come by Redis' clock alone, so that a host whose own is off runs none too early, nor keeps
another from running one. While Redis is away none comes: the newest that came meanwhile is run
once it is back.

A slot whose process died is not run a second time: it is reported as `interrompida`, since a job
that kills its process would otherwise kill one after the other. The next one waits until that is
known, as it waits for a run that outlasts its slot. Slots that passed while no process ran are not
made up for, but counted as missed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from cronsim import CronSim
from msgspec import json

from shared import metrics
from shared.errors import StoreUnavailable
from shared.messages import instant
from shared.store import Store
from shared.tasks import is_cancelled

log = logging.getLogger(__name__)

# A run that is not over by then was interrupted, where its job says nothing else. The next slot
# waits for that, so it is well below the time between slots.
LEASE_S: Final = 60.0
# Slots looked back for, to count the missed ones.
_HORIZON: Final = 1000
# Seconds until a slot is tried again that could not be claimed.
AGAIN_S: Final = 5.0
# Seconds that a run which is cancelled may take to say so.
GOODBYE_S: Final = 2.0
# What `job_claim` says.
_CLAIMED: Final = 1
_OVERTAKEN: Final = 2
_UNDER_WAY: Final = 3

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Job:
    """A function to run at each slot of a cron expression, in UTC. Its result is shown as JSON.

    A run that takes longer than `lease` seconds counts as interrupted.
    """

    name: str
    cron: str
    run: Callable[[], Awaitable[Any]]
    lease: float = LEASE_S

    def after(self, moment: float) -> float:
        """The first slot after a moment, both Unix seconds."""
        start = datetime.fromtimestamp(moment, UTC)
        return float(next(CronSim(self.cron, start)).timestamp())

    def newest(self, slot: float, now: float) -> float:
        """The last slot that has come, no earlier than a given one."""
        while (later := self.after(slot)) <= now:
            slot = later
        return slot


class _UnderWay(Exception):
    """Another run goes on, or died and is waited for."""


class Scheduler:
    """Runs jobs for as long as its process lives.

    Args:
        clock: Unix seconds, and `sleep` waits on the same clock; both for tests. Without it Redis'
            own clock counts.
    """

    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        *,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store, self._jobs = store, {job.name: job for job in jobs}
        self._clock, self._sleep = clock, sleep
        self._claiming = {name: asyncio.Lock() for name in self._jobs}
        # By job, in whose name a slot was claimed whose answer was lost: it may stand, and nobody
        # runs it.
        self._claimants: dict[str, str] = {}

    async def run(self) -> None:
        """Until cancelled, or until one fails: then none of the others goes on behind its back."""
        async with asyncio.TaskGroup() as jobs:
            for job in self._jobs.values():
                jobs.create_task(self._keep(job), name=job.name)

    async def _keep(self, job: Job) -> None:
        slot: float | None = None
        while True:
            try:
                now = await self._now()
                slot = job.after(now) if slot is None else job.newest(slot, now)
                if now < slot:
                    await self._sleep(slot - now)
                    continue
                await self._run(job, slot)
                slot = None
            except (StoreUnavailable, _UnderWay) as error:
                log.warning("a slot has to wait", extra={"job": job.name, "error": str(error)})
                await self._sleep(AGAIN_S)

    async def run_slot(self, name: str, slot: float) -> bool:
        """Run a job for a slot, unless somebody did or is at it. Returns whether it was run here.

        Raises:
            StoreUnavailable: it was not run. It may be tried again.
        """
        try:
            return await self._run(self._jobs[name], slot)
        except _UnderWay:
            return False

    async def run_now(self, name: str) -> bool:
        """Run a job out of its schedule. At most once a second, over all replicas.

        Raises:
            KeyError: there is no such job.
            StoreUnavailable: it was not run. It may be tried again.
        """
        return await self.run_slot(name, float(int(await self._now())))

    async def run_when_up(self, name: str) -> bool:
        """The same, for whoever can wait for Redis."""
        while True:
            try:
                return await self.run_now(name)
            except StoreUnavailable:
                log.warning("a job has to wait for Redis", extra={"job": name})
                await self._sleep(AGAIN_S)

    async def _now(self) -> float:
        # Never the host's own: a Redis that gives no time may take a claim a moment later.
        return await self._store.now() if self._clock is None else self._clock()

    async def _run(self, job: Job, slot: float) -> bool:
        if (claimant := await self._claim(job, slot)) is None:
            return False
        try:
            result, outcome = await job.run(), "ok"
        except (Exception, asyncio.CancelledError) as error:
            # A CancelledError that nobody asked for is some other task's.
            if is_cancelled():
                # An ordinary end, which the next slot need not wait to find out.
                await asyncio.shield(self._interrupted(job.name, claimant))
                raise
            log.exception("a job failed", extra={"job": job.name})
            result, outcome = {"erro": type(error).__name__}, "erro"
        await self._finish(job.name, claimant, outcome, result)
        return True

    async def _claim(self, job: Job, slot: float) -> str | None:
        """Who runs the slot here; None if it is over."""
        name, verdict = job.name, _OVERTAKEN
        # One claim at a time, so that one in doubt is made again by whoever comes next.
        async with self._claiming[name]:
            claimant = self._claimants.setdefault(name, uuid4().hex)
            while verdict == _OVERTAKEN:
                before = await self._store.do("HGET", _key(name), "slot") or b""
                missed = self._missed(job, float(before or 0), slot)
                verdict, interrupted = await self._store.run(
                    "job_claim", [_key(name)],
                    slot, await self._now(), job.lease, claimant, before, missed,
                )  # fmt: skip
            del self._claimants[name]
        if verdict == _UNDER_WAY:
            raise _UnderWay("another run goes on")
        if verdict != _CLAIMED:
            return None
        if interrupted:
            metrics.job_runs.labels(name, "interrompida").inc()
        if missed:
            metrics.job_runs.labels(name, "perdida").inc(missed)
            log.warning("slots were missed", extra={"job": name, "missed": missed})
        return claimant

    async def _interrupted(self, name: str, claimant: str) -> None:
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._write(name, claimant, "interrompida", None)

    async def _finish(self, name: str, claimant: str, outcome: str, result: Any) -> None:
        """Write down how a run ended, however long that takes: else it looks like one that died."""
        while True:
            try:
                return await self._write(name, claimant, outcome, result)
            except StoreUnavailable:
                log.warning("a job's outcome has to wait for Redis", extra={"job": name})
                await self._sleep(AGAIN_S)

    async def _write(self, name: str, claimant: str, outcome: str, result: Any) -> None:
        args = claimant, await self._now(), outcome, json.encode(result)
        await self._store.run("job_finish", [_key(name)], *args)
        metrics.job_runs.labels(name, outcome).inc()

    def _missed(self, job: Job, before: float, slot: float) -> int:
        """Slots strictly between the last one that ran and this one."""
        missed, moment = 0, before
        while before and missed < _HORIZON and (moment := job.after(moment)) < slot:
            missed += 1
        return missed


async def agenda(
    store: Store, jobs: Sequence[tuple[str, str]], now: float | None = None
) -> list[dict[str, Any]]:
    """What each job last did and when it is due, for `/api/agenda`; `now` is for tests."""
    shown = []
    now = await store.now() if now is None else now
    for name, cron in jobs:
        last = {key: value.decode() for key, value in (await store.hash(_key(name))).items()}
        due = next(CronSim(cron, datetime.fromtimestamp(now, UTC))).timestamp()
        shown.append(
            {
                "nome": name,
                "agenda": cron,
                "ultima": instant(float(last["started"])) if "started" in last else None,
                "situacao": _situation(last, now),
                "resultado": json.decode(last["result"]) if "result" in last else None,
                "perdidas": int(last.get("missed", 0)),
                "proxima": instant(due),
            }
        )
    return shown


def _situation(last: dict[str, str], now: float) -> str:
    if "started" not in last:
        return "nunca"
    if "finished" in last:
        return last["outcome"]
    lease = float(last.get("lease", LEASE_S))
    return "em_curso" if now < float(last["started"]) + lease else "interrompida"


def _key(name: str) -> str:
    return f"consulta:job:{name}"
