"""A service ends when it is told to, come what may."""

import signal
import subprocess
import sys
from urllib.request import urlopen

import msgspec
import pytest

from deploy.local.ports import free_port
from tests.services import ROOT

SERVICE = """\
import asyncio, sys
from aiohttp import web
from shared import app
from shared.settings import Common, load

app.END_S = 0.2 if sys.argv[2] == "stuck" else 60

def build():
    made = web.Application()
    made[app.READY] = {}

    async def stuck(_):
        yield
        if sys.argv[2] == "stuck":
            await asyncio.Event().wait()

    made.cleanup_ctx.append(stuck)
    return made

app.main("example", int(sys.argv[1]), load(Common, {}), build)
"""


@pytest.mark.parametrize(("how", "code"), [("well", 0), ("stuck", 1)])
def test_a_service_that_cannot_end_well_says_where_it_waits_and_ends(how: str, code: int) -> None:
    port = free_port()
    command = [sys.executable, "-c", SERVICE, str(port), how]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert b"started" in process.stderr.readline()
            with urlopen(f"http://127.0.0.1:{port}/live", timeout=10) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read().splitlines()
            assert process.wait(20) == code
        finally:
            process.kill()
    if code == 0:
        assert rest == []
        return
    [line] = map(msgspec.json.decode, rest)
    assert (line["level"], line["message"]) == ("ERROR", "did not end in time")
    assert any("cleanup" in task for task in line["tasks"])
