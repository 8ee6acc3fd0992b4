"""Whether a broker that lets nobody in means it."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import AMQPConnectionError, ProbableAuthenticationError
from aiormq.exceptions import InvalidFrameError
from pamqp.commands import Connection

from shared.errors import BusRefused
from shared.link import Link
from shared.refusals import Door, reason, refusal
from tests.virtual_time import now, run

WRONG = ProbableAuthenticationError("ACCESS_REFUSED - Login was refused")


def closed(code: int, text: str) -> InvalidFrameError:
    """What aiormq raises when this came in place of the OpenOk."""

    def rpc(frame: Connection.Close) -> None:
        raise InvalidFrameError(f"Expected one of ['Connection.OpenOk'], got {frame!r}")

    with pytest.raises(InvalidFrameError) as raised:
        rpc(Connection.Close(code, text, 10, 40))
    return raised.value


@pytest.mark.parametrize(
    "text",
    [
        "NOT_ALLOWED - vhost no-such not found",
        "NOT_ALLOWED - access to vhost 'orders' refused for user 'consulta'",
    ],
)
def test_what_stays_wrong_until_somebody_mends_it_is_refused(text: str) -> None:
    assert "add_vhost" in str(refusal(closed(530, text), "amqp://host/"))


LIMIT = "connection limit (3) is reached"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (530, f"access to vhost 'orders' refused for user 'consulta': {LIMIT}"),
        (530, f"connection refused for user 'consulta': user {LIMIT}"),
        (530, f"connection refused: node {LIMIT}"),
        (541, "access to vhost 'orders' refused for user 'consulta': vhost 'orders' is down"),
        (
            530,
            "access to vhost 'orders' refused for user 'consulta', backend x returned an error",
        ),
        (320, "broker forced connection closure with reason 'shutdown'"),
    ],
)
def test_what_passes_is_no_refusal_and_is_told(code: int, told: str) -> None:
    error = closed(code, f"NOT_ALLOWED - {told}")
    assert refusal(error, "amqp://host/") is None
    assert reason(error) == told


class FakeConnection:
    """A connection whose channel ends `seconds` after it was opened."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __aenter__(self) -> "FakeConnection":
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Nothing to end."""

    async def channel(self, **_: Any) -> Any:
        callbacks: set[Callable[[Any, Any], None]] = set()

        def end() -> None:
            for callback in callbacks:
                callback(None, AMQPConnectionError("closed"))

        async def underlay() -> Any:
            return SimpleNamespace(on_consumer_cancel_callbacks=set())

        asyncio.get_running_loop().call_later(self._seconds, end)
        return SimpleNamespace(close_callbacks=callbacks, get_underlay_channel=underlay)


def refused_at(
    monkeypatch: pytest.MonkeyPatch, answers: Callable[[float], Any], until: float
) -> float | None:
    """When (s) a link takes a refusal for good, if it does before `until`.

    Args:
        answers: the connection or the error at this time.
    """

    async def connect(*_: Any, **__: Any) -> Any:
        answer = answers(now())
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def setup(_: Any) -> None:
        """Nothing to set up."""

    async def main() -> float | None:
        refused: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        def on_refused(_: BusRefused) -> None:
            refused.set_result(now())

        link = Link("amqp://host/", "tests", setup, on_refused=on_refused, door=Door(now))
        link.open()
        try:
            return await asyncio.wait_for(refused, until)
        except TimeoutError:
            assert "refuses the user" in link.trouble or link.is_up
            return None
        finally:
            await link.close()

    monkeypatch.setattr(aio_pika, "connect", connect)
    return run(main())


def test_who_was_never_let_in_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused_at(monkeypatch, lambda _: WRONG, 100) == 0


def test_who_was_let_in_before_waits_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    at = refused_at(monkeypatch, lambda time: FakeConnection(5) if time < 5 else WRONG, 200)
    assert at is not None
    assert 65 <= at < 70


def test_a_refusal_that_passes_in_time_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(time: float) -> Any:
        return WRONG if time % 60 > 10 else FakeConnection(10 - time % 60)

    assert refused_at(monkeypatch, answers, 600) is None
