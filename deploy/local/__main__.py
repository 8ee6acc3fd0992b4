"""`python -m deploy.local run|demo`: the whole stack on this machine."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from honcho.printer import Printer

from deploy.local import make
from deploy.local.demo import DemoFailed, demonstrate
from deploy.local.environment import for_demo, for_run, settings
from deploy.local.given import check
from deploy.local.servers import ServerError, servers
from deploy.local.stack import ServiceDied, Stack, procfile

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / ".run"
PROCFILE = ROOT / "deploy" / "Procfile"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_READY_SECONDS = 60

_WELCOME = """
The console:  {gateway}/
One lookup:   curl -N {gateway}/api/consulta-stream -H 'Content-Type: application/json' \\
                -d '{{"identificador":"111.444.777-35","tipo":"cpf"}}'
Addresses and passwords for programs of your own:  . {env}
Ctrl-C stops everything.
"""


def run() -> int:
    """Everything in the foreground, until Ctrl-C or SIGTERM (0) or the end of a service (1)."""
    given = settings(ROOT / ".env")
    check(given.get("AMQP_URL"), given.get("REDIS_URL"))
    commands = procfile(PROCFILE)
    print("starting the servers …", flush=True)
    try:
        with servers(RUN, given.get("AMQP_URL"), given.get("REDIS_URL")) as urls:
            local = for_run(given, urls, RUN)
            port = local.env["GATEWAY_PORT"]
            if "GATEWAY_PORT" not in given and port != "8080":
                print(f"port 8080 is taken, the gateway gets {port}", flush=True)
            show = Printer(sys.stdout, width=max(map(len, commands))).write
            with Stack(commands, local.env, ROOT, show) as stack:
                stack.wait_ready(local.ready, _READY_SECONDS)
                print(_WELCOME.format(gateway=local.gateway, env=RUN / "env"), flush=True)
                stack.wait()
    except KeyboardInterrupt:
        print("stopped", flush=True)
    return 0


def demo() -> int:
    """One lookup twice on a stack of its own; 0 when the second came from the cache."""
    given = settings(ROOT / ".env")
    check(given.get("AMQP_URL"), given.get("REDIS_URL"))
    RUN.mkdir(exist_ok=True)
    # Fresh, so that the first lookup is a miss, and its own, so that two may run at once.
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=RUN))
    logs = folder / "logs"
    logs.mkdir()
    print("starting the servers and the services …", flush=True)
    try:
        with servers(folder, given.get("AMQP_URL"), given.get("REDIS_URL")) as urls:
            local = for_demo(given, urls)
            with Stack(procfile(PROCFILE), local.env, ROOT, _into(logs)) as stack:
                stack.wait_ready(local.ready, _READY_SECONDS)
                asyncio.run(demonstrate(local.gateway, stack.check))
    except KeyboardInterrupt:
        print("stopped before the end", flush=True)
        code = 130
    except Exception:
        _print_tails(logs)
        print(f"\neverything it left is in {folder}", file=sys.stderr)
        raise
    else:
        code = 0
    shutil.rmtree(folder)
    return code


def _into(folder: Path) -> Callable[[Any], None]:
    """A sink for the services' output: a log file each."""

    def show(message: Any) -> None:
        with (folder / f"{message.name}.log").open("ab") as log:
            log.write(message.data)

    return show


def _print_tails(logs: Path) -> None:
    for log in sorted(logs.glob("*.log")):
        with log.open(errors="replace") as lines:
            tail = deque(lines, maxlen=15)
        print(f"\n--- the last lines of {log.name}", file=sys.stderr)
        print("".join(tail), end="", file=sys.stderr)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # What follows is the orderly stop, which is bounded in time: a second signal would only
    # leave something behind.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run the command named in ``arguments``; the exit code."""
    commands = {"run": run, "demo": demo}
    if len(arguments) != 1 or arguments[0] not in commands:
        print("usage: python -m deploy.local run|demo", file=sys.stderr)
        return 2
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    make.follow()
    try:
        return commands[arguments[0]]()
    except (ServerError, ServiceDied, DemoFailed, TimeoutError, OSError) as error:
        with suppress(OSError):
            print(f"{arguments[0]} failed: {error}", file=sys.stderr, flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
