"""Ports for servers that are started later, and again."""

import errno
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.ports import free_port, is_free

_ROOT = Path(__file__).parent.parent.parent
_TAKE = "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1])))"


def _listener(port: int) -> socket.socket:
    """A server, as all of them bind."""
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen()
    return server


def test_a_server_gets_its_port_however_often_it_starts() -> None:
    port = free_port()
    for _ in range(3):
        assert is_free(port)
        with _listener(port):
            assert not is_free(port)


def test_nobody_else_is_given_a_port_that_waits_for_its_server() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError) as error:
        other.bind(("127.0.0.1", port))
    assert error.value.errno == errno.EADDRINUSE
    done = subprocess.run(
        [sys.executable, "-c", _TAKE, str(port)], cwd=_ROOT, capture_output=True, check=False
    )
    assert b"Address already in use" in done.stderr


def test_what_somebody_has_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    listening, waiting = free_port(), free_port()
    with _listener(listening):
        monkeypatch.setattr("random.sample", lambda *_: [listening, waiting])
        with pytest.raises(OSError, match="no free port between 20000 and 32767"):
            free_port()
