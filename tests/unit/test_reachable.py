"""What a service says of a server it cannot reach."""

import asyncio
import socket
import ssl
from collections.abc import Sequence

import pytest
from aio_pika.exceptions import AMQPConnectionError
from aiormq.exceptions import ChannelLockedResource, InvalidFrameError

from shared.domain.network import place, why
from shared.refusals import is_lost, reason, refusal
from shared.service.reachable import AGAIN_S, no_answer, watch
from tests.virtual_time import now, run


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("amqp://consulta:s3cr3t@10.0.0.7:5673/", "10.0.0.7:5673"),
        ("amqp://rabbit", "rabbit:5672"),
        ("amqps://rabbit/vhost", "rabbit:5671"),
        ("redis://:s3cr3t@[::1]/0", "[::1]:6379"),
        ("unix:///run/redis.sock?db=1", "/run/redis.sock"),
    ],
)
def test_a_place_is_told_without_user_and_password(url: str, where: str) -> None:
    assert place(url) == where


def test_a_line_names_the_variable_the_place_the_reason_and_the_mend() -> None:
    line = no_answer("AMQP_URL", "amqp://u:s3cr3t@127.0.0.1:5673/", "connection refused")
    assert line == (
        "no answer from 127.0.0.1:5673 (connection refused); "
        "start RabbitMQ there or correct AMQP_URL"
    )


def _wrapped(cause: OSError) -> Exception:
    """As aiormq raises what a socket raised."""
    error = AMQPConnectionError(*cause.args)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (_wrapped(ConnectionRefusedError(111, "Connect call failed")), "connection refused"),
        (_wrapped(socket.gaierror(-2, "Name or service not known")), "no such host name"),
        (_wrapped(ssl.SSLError(1, "wrong version number")), "TLS failed: SSLError"),
        (TimeoutError(), "it did not answer in time"),
        (ConnectionResetError(), "the connection was closed"),
        (ValueError("amqp://u:s3cr3t@host"), "ValueError"),
    ],
)
def test_the_reason_is_told_in_words(error: Exception, words: str) -> None:
    assert why(error) == reason(error) == words


def test_what_the_broker_says_of_a_channel_is_told() -> None:
    assert reason(ChannelLockedResource("RESOURCE_LOCKED - locked queue 'x'")) == "locked queue 'x'"
    assert reason(InvalidFrameError("AMQP")) == "what answers there is no RabbitMQ"


@pytest.mark.parametrize(
    "error",
    [
        AMQPConnectionError("closed"),
        ChannelLockedResource("RESOURCE_LOCKED - locked queue"),
        InvalidFrameError("Expected one of ['Connection.Tune'], got <Connection.Close>"),
        RuntimeError("a bug"),
    ],
)
def test_what_may_pass_is_no_refusal(error: Exception) -> None:
    assert refusal(error, "amqp://host/") is None


@pytest.mark.parametrize(
    ("error", "open_channel", "lost"),
    [
        (AMQPConnectionError(), True, True),
        (RuntimeError("a bug"), True, False),
        (Exception(), False, True),
        (asyncio.CancelledError(), False, True),
    ],
)
def test_a_fault_of_ours_is_no_loss_of_the_connection(
    error: BaseException, open_channel: bool, lost: bool
) -> None:
    class Channel:
        is_closed = not open_channel

    assert is_lost(error, Channel()) is lost  # type: ignore[arg-type]


def _told(
    caplog: pytest.LogCaptureFixture, troubles: Sequence[tuple[float, str]], seconds: float
) -> list[tuple[float, str]]:
    """What is logged, and when (s), while the trouble is what stands last in `troubles`."""

    async def trouble() -> str:
        return [text for since, text in troubles if since <= now()][-1]

    async def main() -> list[tuple[float, str]]:
        watching = asyncio.create_task(watch("AMQP_URL", trouble))
        lines = []
        while now() < seconds:
            await asyncio.sleep(0.5)
            lines += [(now(), record.getMessage()) for record in caplog.records]
            caplog.clear()
        watching.cancel()
        return lines

    return run(main())


def test_it_is_said_soon_then_now_and_then_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = _told(caplog, [(0, "no answer"), (9.5, "")], 20)
    assert [text for _, text in lines] == [
        *["AMQP_URL: no answer"] * 2,
        "AMQP_URL: it answers again",
    ]
    times = [time for time, _ in lines]
    assert times[0] < 5
    assert times[1] - times[0] >= AGAIN_S


def test_a_moment_without_a_connection_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    assert _told(caplog, [(0, ""), (2.5, "no answer"), (3.5, "")], 10) == []
