"""What was read is used only where nothing can have changed it for longer than the lease."""

import asyncio
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import hiredis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.store.connection import Wire
from shared.store.near import LEASE_S, RENEW_S, Lease
from tests.transports import Transport

TRACKING = (b"CLIENT", b"TRACKING", b"ON", b"BCAST", b"PREFIX", b"v:")
LOOK = ("EXISTS", "v:0")


@dataclass
class Scene:
    """A lease on a scripted connection, by a clock that the test moves."""

    now: float = 100.0
    forgotten: list[bytes | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lease = Lease("v:", LOOK, self.forgotten.append, self.clock)
        self.connect()

    def clock(self) -> float:
        return self.now

    def connect(self) -> None:
        self.transport = Transport()
        self.wire = Wire(self.transport, 1e9, self.lease, self.clock)
        self.lease.made(self.wire)

    async def begun(self) -> "Scene":
        """With tracking on."""
        await self.answer(b"+OK")
        assert self.lease.is_on
        return self

    async def answer(self, *answers: bytes) -> None:
        self.wire.data_received(b"".join(answer + b"\r\n" for answer in answers))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def asked(self) -> list[tuple[bytes, ...]]:
        """All commands so far."""
        return [tuple(found) for found in commands(b"".join(self.transport.written))]


async def turns() -> None:
    """Let timers run that are due at once."""
    for _ in range(5):
        await asyncio.sleep(0)


def commands(data: bytes) -> Iterator[list[bytes]]:
    reader = hiredis.Reader()
    reader.feed(data)
    while (found := reader.gets()) is not False:
        yield found


async def test_tracking_is_the_first_thing_asked_and_nothing_holds_before_it_is_on() -> None:
    scene = Scene()
    read = scene.wire.ask(("GET", "v:a"))
    await asyncio.sleep(0)
    assert scene.asked()[0] == TRACKING
    assert not scene.lease.is_on
    assert not scene.lease.holds()
    await scene.answer(b"+OK", b"+1")
    assert await read == b"1"
    assert scene.lease.holds()


async def test_a_redis_that_does_not_track_gives_no_lease() -> None:
    scene = Scene()
    await scene.answer(b"-ERR unknown command")
    scene.wire.ask(("GET", "v:a"))
    await scene.answer(b"+1")
    assert not scene.lease.is_on
    assert not scene.lease.holds()


async def test_a_redis_that_was_too_busy_to_track_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shared.store.near.AGAIN_S", 0)
    scene, refusals = Scene(), 3
    for _ in range(refusals):
        await scene.answer(b"-BUSY a script does not end")
        assert not scene.lease.is_on
        await turns()
    changes = scene.lease.changes
    await scene.answer(b"+OK")
    assert scene.lease.holds()
    # What was asked before that may have been read before changes were told.
    assert scene.lease.changes > changes
    assert scene.asked() == [TRACKING] * (refusals + 1)
    assert len(caplog.records) == 1


async def test_a_connection_that_is_lost_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.store.near.AGAIN_S", 0)
    scene = Scene()
    lost = scene.wire
    await scene.answer(b"-BUSY a script does not end")
    lost.connection_lost(None)
    scene.connect()
    await scene.answer(b"+OK")
    await turns()
    assert scene.asked() == [TRACKING]
    assert scene.lease.holds()


async def test_it_holds_from_when_the_newest_answered_command_was_asked() -> None:
    scene = await Scene().begun()
    scene.wire.ask(("GET", "v:a"))
    # However late the answer comes, it proves nothing of the time after the question.
    scene.now += LEASE_S * 0.9
    await scene.answer(b"+1")
    assert scene.lease.holds()
    scene.now += LEASE_S * 0.2
    assert not scene.lease.holds()


async def test_an_error_proves_nothing() -> None:
    scene = await Scene().begun()
    scene.now += 10
    scene.wire.ask(LOOK).add_done_callback(lambda answer: answer.exception())
    await scene.answer(b"-BUSY a script does not end")
    assert not scene.lease.holds()


async def test_whoever_uses_it_keeps_it_and_whoever_idles_asks_nothing() -> None:
    scene = await Scene().begun()
    uses = 200
    for _ in range(uses):
        scene.now += RENEW_S / 10
        assert scene.lease.holds()
        await asyncio.sleep(0)
        if scene.wire.proved < scene.wire.asked:
            await scene.answer(b":1")
    looks = scene.asked()[1:]
    assert set(looks) == {tuple(part.encode() for part in LOOK)}
    # One for every RENEW_S in which it was used, and no more while one is under way.
    assert uses / 10 - 2 <= len(looks) <= uses / 10
    scene.now += 60
    assert not scene.lease.holds()
    await asyncio.sleep(0)
    assert len(scene.asked()) == 1 + len(looks)


async def test_what_others_ask_renews_it_as_well() -> None:
    scene = await Scene().begun()
    for _ in range(100):
        scene.now += RENEW_S / 2
        scene.wire.ask(("INCR", "other"))
        await scene.answer(b":1")
        assert scene.lease.holds()
    assert {command[0] for command in scene.asked()} == {b"CLIENT", b"INCR"}


async def test_silence_ends_it_although_the_connection_looks_well() -> None:
    scene = await Scene().begun()
    for _ in range(20):
        scene.now += LEASE_S / 10
        held = scene.lease.holds()
    assert not held
    assert scene.wire.is_open


async def test_the_end_of_the_connection_ends_it_and_all_is_forgotten() -> None:
    scene = await Scene().begun()
    changes = scene.lease.changes
    scene.wire.connection_lost(None)
    assert not scene.lease.holds()
    assert scene.forgotten == [None]
    assert scene.lease.changes > changes
    scene.connect()
    assert not scene.lease.holds()
    assert not scene.lease.is_on
    assert (await scene.begun()).lease.holds()


@pytest.mark.parametrize(
    ("push", "forgotten"),
    [
        (b"*2\r\n$3\r\nv:a\r\n$3\r\nv:b", [b"v:a", b"v:b"]),
        (b"_", [None]),  # FLUSHALL
    ],
)
async def test_what_changes_is_forgotten_before_the_answers_that_came_after_it(
    push: bytes, forgotten: list[bytes | None]
) -> None:
    scene = await Scene().begun()
    changes = scene.lease.changes
    scene.wire.ask(("GET", "v:a"))
    scene.wire.data_received(b">2\r\n$10\r\ninvalidate\r\n" + push + b"\r\n+1\r\n")
    # Without a turn of the loop in between: nobody can have used it meanwhile.
    assert scene.forgotten == forgotten
    assert scene.lease.changes == changes + 1


class Server:
    """Redis as far as it matters: one value, read and written in order, and told in order.

    Answers and pushes stand in `said` until they are delivered; a write of somebody else has
    returned once it is done.
    """

    def __init__(self) -> None:
        self.value, self.tracks = 0, False
        self.said: deque[bytes] = deque()

    def run(self, command: tuple[bytes, ...]) -> None:
        if command == TRACKING:
            self.tracks = True
            self.said.append(b"+OK\r\n")
        else:
            self.said.append(b":%d\r\n" % self.value)

    def write(self) -> None:
        self.value += 1
        if self.tracks:
            self.said.append(b">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nv:a\r\n")


class Reader:
    """Reads and keeps as the gateway does, and says whenever it uses what is too old."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.server = Server()
        self.kept: int | None = None
        self.scene.lease._forget = lambda _: self._drop()
        self.reads: list[tuple[asyncio.Future[int], int]] = []
        self.sent = 0
        # When each value was no longer the one there is.
        self.replaced: dict[int, float] = {}
        self.used = 0

    def _drop(self) -> None:
        self.kept = None

    def read(self) -> None:
        answer = self.scene.wire.ask(("GET", "v:a"))
        answer.add_done_callback(lambda ended: ended.exception())
        self.reads.append((answer, self.scene.lease.changes))

    def resume(self) -> None:
        """Those that have waited for their answers go on, at any time after these came."""
        while self.reads and self.reads[0][0].done():
            answer, changes = self.reads.pop(0)
            if answer.exception() is None:
                lease = self.scene.lease
                if lease.is_on and lease.changes == changes:
                    self.kept = answer.result()

    def serve(self) -> None:
        """Redis carries out what has come to it so far."""
        found = self.scene.asked()
        for command in found[self.sent :]:
            self.server.run(command)
        self.sent = len(found)

    def deliver(self, number: int) -> None:
        for _ in range(min(number, len(self.server.said))):
            self.scene.wire.data_received(self.server.said.popleft())

    def write(self) -> None:
        self.replaced[self.server.value] = self.scene.now
        self.server.write()

    def cut(self) -> None:
        self.scene.wire.connection_lost(None)
        self.server.said.clear()
        self.server.tracks = False
        self.sent = 0
        self.scene.connect()

    def use(self) -> None:
        if self.kept is not None and self.scene.lease.holds():
            self.used += 1
            since = self.replaced.get(self.kept, self.scene.now)
            assert self.scene.now - since <= LEASE_S, "an old value was used"


STEPS = ("read", "resume", "serve", "deliver", "use") * 6


async def walk(seed: int, rare: tuple[str, ...]) -> int:
    """A random walk; returns how often something kept was used."""
    chance, reader = random.Random(seed), Reader()
    for _ in range(400):
        step = chance.choice(STEPS + rare)
        if step == "deliver":
            reader.deliver(chance.randint(1, 5))
        else:
            getattr(reader, step)()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        reader.scene.now += chance.choice((0, 0, 0.001, 0.004, 0.02))
    return reader.used


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_nothing_older_than_the_lease_is_used_whatever_comes_when(seed: int) -> None:
    asyncio.run(walk(seed, ("write",) * 4 + ("cut",)))


def test_the_walks_use_what_they_keep() -> None:
    used = [asyncio.run(walk(seed, ("write", "cut"))) for seed in range(10)]
    assert sum(used) > 100, used
