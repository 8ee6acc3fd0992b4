"""The local runner: all services or none, and nothing left behind, whatever ends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local import stack as stack_module
from deploy.local.environment import OPS_PORTS
from deploy.local.process import Child
from deploy.local.servers import PrivateRabbit, PrivateRedis, ServerError
from deploy.local.stack import ServiceDied, Stack

ROOT = Path(__file__).resolve().parents[2]

# Stands in for a service: says who it is, then answers 200 to everything on its port.
SERVICE = """\
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args):
        pass

print("pid", sys.argv[1], os.getpid())
HTTPServer(("127.0.0.1", int(os.environ[sys.argv[1]])), Ready).serve_forever()
"""
RUNNER = """\
import sys
from pathlib import Path
import deploy.local.__main__ as runner

runner.check = lambda *_: None
runner.RUN = Path(sys.argv[1])
runner.PROCFILE = Path(sys.argv[1]) / "Procfile"
sys.exit(runner.main(["run"]))
"""


def eventually(condition: Callable[[], object], seconds: float = 20) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to pass"
        time.sleep(0.02)


def processes_of(folder: Path) -> list[str]:
    """Live processes that have the folder in their environment or work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "environ").read_bytes()
            works_in = str((process / "cwd").readlink())
            name = (process / "comm").read_text().strip()
        except OSError:
            continue
        if str(folder).encode() in told or works_in.startswith(str(folder)):
            found.append(f"{process.name} {name}")
    return found


class Runner:
    """`python -m deploy.local run` over stand-in services."""

    def __init__(self, folder: Path, *, by_make: bool = False, in_background: bool = False) -> None:
        self.folder = folder
        service = folder / "service.py"
        service.write_text(SERVICE)
        variables = OPS_PORTS | {"simulator": "SIMULATOR_PORT"}
        (folder / "Procfile").write_text(
            "".join(f"{name}: python {service} {port}\n" for name, port in variables.items())
        )
        command = [sys.executable, "-c", RUNNER, str(folder)]
        if by_make:
            (folder / "runner.py").write_text(RUNNER)
            makefile = f"run:\n\t@{sys.executable} {folder}/runner.py {folder}\n"
            (folder / "Makefile").write_text(makefile)
            command = ["make", "-f", str(folder / "Makefile"), "run"]
        if in_background:
            # As a shell starts what stands before an &.
            command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
        self.output = folder / "output"
        env = os.environ | {
            "AMQP_URL": "amqp://stand-in",
            "REDIS_URL": "redis://stand-in",
            "STARTED_FOR": str(folder),
            "PYTHONPATH": str(ROOT),
        }
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def says(self, text: str) -> bool:
        return text in self.output.read_text()

    def pid_of(self, variable: str) -> int:
        lines = [line.split() for line in self.output.read_text().splitlines()]
        return next(int(words[-1]) for words in lines if words[-3:-1] == ["pid", variable])


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    started = Runner(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()


def test_a_service_that_dies_is_named_and_brings_the_others_down(runner: Runner) -> None:
    eventually(lambda: runner.says("The console:"))
    os.kill(runner.pid_of("ENRICHER_TELEGRAM_OPS_PORT"), signal.SIGKILL)
    assert runner.process.wait(20) == 1
    assert runner.says("enricher was ended by SIGKILL")
    assert processes_of(runner.folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_good_order(runner: Runner, number: signal.Signals) -> None:
    eventually(lambda: runner.says("The console:"))
    runner.process.send_signal(number)
    assert runner.process.wait(20) == 0
    assert processes_of(runner.folder) == []


def test_a_signal_while_the_services_start_leaves_none(runner: Runner) -> None:
    eventually(lambda: runner.says("pid "))
    runner.process.send_signal(signal.SIGINT)
    assert runner.process.wait(20) == 0
    assert processes_of(runner.folder) == []


def test_services_end_when_the_runner_itself_is_killed(runner: Runner) -> None:
    eventually(lambda: runner.says("The console:"))
    runner.process.kill()
    eventually(lambda: processes_of(runner.folder) == [])


@pytest.mark.parametrize(
    ("number", "in_background"),
    [
        (signal.SIGINT, False),
        (signal.SIGTERM, False),
        (signal.SIGKILL, False),
        # There, SIGINT is ignored by all, as a shell's & would have it.
        (signal.SIGTERM, True),
        (signal.SIGKILL, True),
    ],
)
def test_services_end_with_the_make_that_ran_them(
    tmp_path: Path, number: signal.Signals, in_background: bool
) -> None:
    runner = Runner(tmp_path, by_make=True, in_background=in_background)
    try:
        eventually(lambda: runner.says("The console:"))
        # To make alone, not to its process group as a terminal would.
        runner.process.send_signal(number)
        runner.process.wait(20)
        eventually(lambda: processes_of(tmp_path) == [])
    finally:
        runner.process.kill()
        runner.process.wait()


def test_a_service_that_ends_well_is_missed_all_the_same(tmp_path: Path) -> None:
    lines: list[Any] = []
    commands = {"brief": "echo done", "long": "sleep 60"}
    with (
        Stack(commands, os.environ, tmp_path, lines.append) as stack,
        pytest.raises(ServiceDied, match="brief exited with 0"),
    ):
        stack.wait()
    assert [(line.name, line.data) for line in lines] == [("brief", b"done\n")]
    assert stack.pids == {}


def test_a_service_deaf_to_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_module, "GRACE_S", 0.2)
    lines: list[Any] = []
    deaf = "sh -c 'trap \"\" TERM; echo up; while :; do sleep 0.1; done'"
    with Stack({"deaf": deaf}, os.environ, tmp_path, lines.append):
        eventually(lambda: lines)
    eventually(lambda: processes_of(tmp_path) == [])


def test_a_server_left_by_a_killed_run_is_ended(tmp_path: Path) -> None:
    command = ["sleep", "60"]
    with subprocess.Popen(command) as left, subprocess.Popen(command) as other:
        first = Child("server", tmp_path)
        first.spawn(command, os.environ)
        identity = (tmp_path / "server.pid").read_text().split()
        first.stop()
        try:
            # The pid came round: another process, started at another time.
            (tmp_path / "server.pid").write_text(f"{other.pid} {identity[1]}0")
            second = Child("server", tmp_path)
            second.spawn(command, os.environ)
            second.stop()
            assert other.poll() is None

            ticks = Path(f"/proc/{left.pid}/stat").read_text().split()[21]
            (tmp_path / "server.pid").write_text(f"{left.pid} {ticks}")
            third = Child("server", tmp_path)
            third.spawn(command, os.environ)
            third.stop()
            assert left.wait(0) == -signal.SIGTERM
        finally:
            left.kill()
            other.kill()


def test_redis_comes_back_after_a_crash_and_its_folder_has_one_user(tmp_path: Path) -> None:
    with PrivateRedis(tmp_path) as redis:
        url = redis.url
        with pytest.raises(ServerError, match="in use by another run"):
            PrivateRedis(tmp_path).start()
        redis.kill()
        redis.start()
        assert redis.url == url
        assert (tmp_path / "redis.conf").stat().st_mode & 0o777 == 0o600
    assert processes_of(tmp_path) == []


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    redis = PrivateRedis(tmp_path)
    (tmp_path / "appendonlydir").write_text("in the way")
    with pytest.raises(ServerError, match=r"redis ended while starting(.|\n)*appendonlydir"):
        redis.start()
    assert processes_of(tmp_path) == []


def test_rabbitmq_leaves_no_process_behind(tmp_path: Path) -> None:
    with PrivateRabbit(tmp_path / "a folder"):
        assert {"beam.smp", "epmd"} <= {name.split()[1] for name in processes_of(tmp_path)}
    # Its helpers end by themselves once their pipe is closed.
    eventually(lambda: processes_of(tmp_path) == [])
