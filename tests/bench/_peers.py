"""Who looks people up here: each is started for its turn and ended after it, and disturbs nobody.

The modules of the peers are imported late: they take their addresses from the environment, as
those of a worker do, and are not there where only the tests' packages are installed.
"""

import asyncio
import importlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import uvloop

from deploy.local.ports import free_port
from deploy.local.process import Child
from tests.bench._ask import Timed, looked_up, paced, people, session
from tests.bench._size import AT_ONCE
from tests.bench._stand import Stand
from tests.services import PRODUCT

# Looks all of them up, and says how long it took.
LookUp = Callable[[Sequence[str]], Timed]
Peer = Callable[[], AbstractContextManager[LookUp]]
# One for all its turns: its pool of connections stays with the loop that it was first used in.
_taskiq_loop: Final = asyncio.Runner(loop_factory=uvloop.new_event_loop)


@contextmanager
def ours(stand: Stand, **settings: str) -> Iterator[LookUp]:
    """Our services; the simulator runs already."""
    stand.services.start(*PRODUCT, **settings)
    try:
        yield lambda cpfs: uvloop.run(looked_up(stand.services.gateway, cpfs, AT_ONCE))
    finally:
        stand.services.stop(*PRODUCT)


@contextmanager
def celery(stand: Stand) -> Iterator[LookUp]:
    """Celery with eight worker processes; its client has a thread for each lookup under way."""
    settings = _environment(stand)
    worker = ["celery", "-A", "tests.bench._celery", "worker", "-P", "prefork", "-c", "8"]
    with stand.helper("celery", [*worker, "-l", "WARNING"], **settings):
        look_up = _imported("tests.bench._celery", settings).look_up
        with ThreadPoolExecutor(AT_ONCE) as threads:
            yield lambda cpfs: _threaded(threads, look_up, cpfs)


@contextmanager
def taskiq(stand: Stand) -> Iterator[LookUp]:
    """Taskiq with two worker processes; its client is asynchronous."""
    settings = _environment(stand)
    worker = ["taskiq", "worker", "tests.bench._taskiq:broker", "--workers", "2"]
    with stand.helper("taskiq", [*worker, "--log-level", "WARNING"], **settings):
        module = _imported("tests.bench._taskiq", settings)
        _taskiq_loop.run(module.broker.startup())
        try:
            yield lambda cpfs: _taskiq_loop.run(paced(module.look_up, cpfs, AT_ONCE))
        finally:
            _taskiq_loop.run(module.broker.shutdown())


@dataclass(frozen=True)
class Skeleton:
    """Looks people up with nothing in it. `processes` are its own, by name."""

    url: str
    processes: Mapping[str, int]

    def __call__(self, cpfs: Sequence[str]) -> Timed:
        return uvloop.run(self._look_up(cpfs))

    async def _look_up(self, cpfs: Sequence[str]) -> Timed:
        async with session() as http:

            async def one(cpf: str) -> None:
                async with http.post(self.url, json={"identificador": cpf}) as answer:
                    assert b"completo" in await answer.read()

            return await paced(one, cpfs, AT_ONCE)


@contextmanager
def skeleton(stand: Stand) -> Iterator[Skeleton]:
    """What the messages, trips, calls and writes of a lookup cost alone: nobody's product."""
    port = free_port()
    roles = {"analyzer": [], "enricher": [], "gateway": [str(port)]}
    with ExitStack() as stack:
        processes = {}
        for role, given in roles.items():
            module = ["tests.bench._skeleton", role, *given]
            child = stack.enter_context(
                stand.helper(f"skeleton.{role}.{port}", module, **_environment(stand))
            )
            child.wait_until(partial(_is_ready, child), 30)
            assert child.pid is not None
            processes[role] = child.pid
        yield Skeleton(f"http://127.0.0.1:{port}/", processes)


def _is_ready(child: Child) -> bool:
    return "ready" in child.log.read_text()


def best(peers: Mapping[str, Peer], times: int, number: int) -> dict[str, Timed]:
    """The fastest of so many turns of each, in alternating order, each warmed up."""
    found: dict[str, Timed] = {}
    for turn in range(times):
        for name in sorted(peers, reverse=bool(turn % 2)):
            with peers[name]() as look_up:
                look_up(people(max(AT_ONCE, number // 4)))
                timed = look_up(people(number))
            print(f"  {name}: {timed.per_s:.1f} a second", flush=True)
            if name not in found or timed.per_s > found[name].per_s:
                found[name] = timed
    return found


def _environment(stand: Stand) -> dict[str, str]:
    env = stand.services.env
    return {
        "AMQP_URL": env["AMQP_URL"],
        "REDIS_URL": env["REDIS_URL"],
        "SIMULATOR": stand.services.simulator,
        "AT_ONCE": str(AT_ONCE),
    }


def _imported(name: str, settings: dict[str, str]) -> Any:
    os.environ.update(settings)
    return importlib.import_module(name)


def _threaded(threads: ThreadPoolExecutor, look_up: Callable[[str], Any], cpfs: Any) -> Timed:
    def one(cpf: str) -> float:
        began = time.perf_counter()
        look_up(cpf)
        return time.perf_counter() - began

    began = time.perf_counter()
    seconds = list(threads.map(one, cpfs))
    return Timed(seconds, time.perf_counter() - began)
