"""A service, and the local stack, whose AMQP_URL or REDIS_URL leads nowhere."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.local import given
from deploy.local.ports import free_port
from deploy.local.process import ServerError
from tests.arena import Arena, Arenas
from tests.services import ROOT

PATIENCE = 20


def first_line(variable: str, log: Path, env: dict[str, str]) -> str:
    """What a service says first of a variable."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "analyzer"], cwd=ROOT, stdout=output, stderr=output,
            env={"PATH": os.environ["PATH"], "ANALYZER_OPS_PORT": "0", **env},
        )  # fmt: skip
    end = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            for line in log.read_text().splitlines():
                if f"{variable}: " in line:
                    return line
            time.sleep(0.02)
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
    raise AssertionError(log.read_text())


def test_a_service_names_the_variable_and_the_place_of_a_broker_that_is_not_there(
    arena: Arena, tmp_path: Path
) -> None:
    port = free_port()
    env = {"AMQP_URL": f"amqp://u:s3cr3t@127.0.0.1:{port}/", "REDIS_URL": arena.redis_url}
    line = first_line("AMQP_URL", tmp_path / "log", env)
    assert f"no answer from 127.0.0.1:{port} (connection refused)" in line
    assert "start RabbitMQ there or correct AMQP_URL" in line
    assert "s3cr3t" not in (tmp_path / "log").read_text()
    assert len((tmp_path / "log").read_text().splitlines()) < 6


def test_a_service_names_the_variable_and_the_place_of_a_redis_that_refuses_it(
    arena: Arena, arenas: Arenas, tmp_path: Path
) -> None:
    where = f"127.0.0.1:{arenas.redis_server.port}"
    env = {"AMQP_URL": arena.amqp_url, "REDIS_URL": f"redis://:s3cr3t@{where}/0"}
    line = first_line("REDIS_URL", tmp_path / "log", env)
    assert f"REDIS_URL: {where} refuses the user or password" in line
    assert "s3cr3t" not in (tmp_path / "log").read_text()


def test_the_local_stack_starts_nothing_on_servers_that_are_not_there(tmp_path: Path) -> None:
    port = free_port()
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local", "run"], cwd=ROOT, check=False, timeout=60,
        env={"PATH": os.environ["PATH"], "AMQP_URL": f"amqp://u:s3cr3t@127.0.0.1:{port}/"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line == (
        f"run failed: AMQP_URL: no answer from 127.0.0.1:{port} (connection refused); "
        "start RabbitMQ there or correct AMQP_URL"
    )
    assert time.monotonic() - began < PATIENCE


def test_given_servers_that_answer_are_taken_and_others_named(arena: Arena, arenas: Arenas) -> None:
    given.check(arena.amqp_url, arena.redis_url)
    given.check(None, "")
    rabbit, redis = arenas.rabbit.port, arenas.redis_server.port
    for urls, words in (
        ((f"amqp://u:s3cr3t@127.0.0.1:{rabbit}/", None), "refuses the user or password"),
        ((None, f"redis://:s3cr3t@127.0.0.1:{redis}/0"), "refuses the user or password"),
        (("localhost:5672", None), "AMQP_URL: .* cannot be used"),
        ((None, "localhost:6379"), "REDIS_URL: .* cannot be used"),
        ((None, f"redis://127.0.0.1:{rabbit}/0"), "what answers there is no Redis"),
    ):
        with pytest.raises(ServerError, match=words) as error:
            given.check(*urls)
        assert "s3cr3t" not in str(error.value)
