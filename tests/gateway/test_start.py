"""What a gateway refuses to start with, and what it never writes into its log."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.settings import Settings
from shared.errors import InvalidSetting
from shared.keys import ApiKey, Keys, add, revoke
from shared.settings import load
from tests.arena import Arena
from tests.services import ROOT, Services

SECRET = "x" * 32


def refused(**env: str) -> str:
    """The one line with which it refuses to start."""
    process = subprocess.run(
        [sys.executable, "-m", "gateway"], cwd=ROOT, env={"PATH": os.environ["PATH"], **env},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 1
    assert process.stdout == ""
    [line] = process.stderr.splitlines()
    return line


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with one key."""
    file = tmp_path / "keys.json"
    add(file, "ours", ["consultar"], "off", 1)
    return file


def test_without_keys_it_does_not_start_for_other_machines() -> None:
    line = refused(GATEWAY_HOST="0.0.0.0")
    assert line.startswith("consulta: GATEWAY_HOST: ")
    assert "set API_KEYS_FILE" in line
    assert "127.0.0.1" in line


def test_with_an_unusable_file_of_keys_it_does_not_start(file: Path) -> None:
    file.write_text("csl_secret")
    line = refused(GATEWAY_HOST="0.0.0.0", API_KEYS_FILE=str(file), CACHE_SECRET=SECRET)
    assert line.startswith("consulta: API_KEYS_FILE: ")
    assert "secret" not in line


def test_with_keys_but_without_a_secret_it_does_not_start_for_other_machines(file: Path) -> None:
    line = refused(GATEWAY_HOST="0.0.0.0", API_KEYS_FILE=str(file))
    assert line.startswith("consulta: CACHE_SECRET: not set, and GATEWAY_HOST ")
    assert "32 bytes" in line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "example.com", "127.1"])
def test_without_keys_every_other_address_is_refused(file: Path, host: str) -> None:
    if host:
        with pytest.raises(InvalidSetting, match="GATEWAY_HOST"):
            load(Settings, {"GATEWAY_HOST": host})
        keys = {"API_KEYS_FILE": str(file), "CACHE_SECRET": SECRET}
        load(Settings, {"GATEWAY_HOST": host, **keys})
    else:
        assert load(Settings, {"GATEWAY_HOST": host}).gateway_host == "127.0.0.1"


def _group_may_write(file: Path) -> None:
    file.chmod(0o660)


def _others_may_write(file: Path) -> None:
    file.chmod(0o602)


def _is_gone(file: Path) -> None:
    file.unlink()


def _is_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _is_no_json(file: Path) -> None:
    file.write_text("csl_secret")


def _is_half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def _has_no_hash(file: Path) -> None:
    file.write_text(file.read_text().replace('"hash": "', '"hash": "csl_secret'))


def _has_an_unknown_scope(file: Path) -> None:
    file.write_text(file.read_text().replace("consultar", "tudo"))


def _has_an_unreadable_rate(file: Path) -> None:
    file.write_text(file.read_text().replace('"off"', '"many"'))


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        (_group_may_write, "chmod 600"),
        (_others_may_write, "chmod 600"),
        (_is_gone, "name a readable file"),
        (_is_a_folder, "name a readable file"),
        (_is_no_json, "consulta keys add"),
        (_is_half, "consulta keys add"),
        (_has_no_hash, "consulta keys add"),
        (_has_an_unknown_scope, "consulta keys add"),
        (_has_an_unreadable_rate, "50/min"),
    ],
)
def test_a_file_of_keys_that_cannot_be_used_is_said_with_the_mend(
    file: Path, spoil: Callable[[Path], None], mend: str
) -> None:
    spoil(file)
    with pytest.raises(InvalidSetting) as caught:
        Keys(file)
    assert str(caught.value).startswith("API_KEYS_FILE: ")
    assert mend in str(caught.value)
    assert "secret" not in str(caught.value)


def test_whoever_could_read_the_keys_still_can_when_they_were_changed(file: Path) -> None:
    file.chmod(0o640)
    revoke(file, Keys(file).all()[0].id)
    assert file.stat().st_mode & 0o777 == 0o640
    add(file, "ours", ["consultar"], "off", 1)
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_file_of_keys_holds_no_key(file: Path) -> None:
    key = add(file, "ours", ["consultar"], "off", 1)
    assert file.stat().st_mode & 0o077 == 0
    assert key.split("_", 2)[2] not in file.read_text()
    found = Keys(file).find(key)
    assert isinstance(found, ApiKey)
    assert key.split("_", 2)[2] not in repr(found)


@pytest.fixture
def services(arena: Arena, tmp_path: Path, file: Path) -> Iterator[Services]:
    """A gateway process that logs all it ever logs."""
    services = Services(arena, tmp_path, API_KEYS_FILE=str(file), LOG_LEVEL="DEBUG")
    try:
        services.start("gateway")
        yield services
    finally:
        services.stop()


def test_no_secret_and_no_identifier_is_ever_logged(services: Services, file: Path) -> None:
    key = add(file, "ours", ["consultar"], "off", 1)
    secret, cpf = key.split("_", 2)[2], "11144477735"
    body = f'{{"identificador":"{cpf}"}}'
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    auth = f"Authorization: Bearer {key}\r\n"
    for request in (
        f"POST /api/consultas HTTP/1.1\r\nHost: x\r\n{auth}{length}\r\n{body}",
        f"POST /api/consultas HTTP/1.1\r\nHost: x\r\n{length}\r\n{body}",
        # What is no HTTP is told by aiohttp's own logger, and with what it was.
        f"GET /api/consultas/{cpf} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\x01\r\n\r\n",
        f"GET /api/{cpf}?ticket={secret}\x7f HTTP/9.9\r\nHost: x\r\n{auth}\r\n",
        f"Authorization: Bearer {key}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\n{auth.replace(': ', ' : ')}\r\n",
        f"POST /api/consultas HTTP/1.1\r\nHost: x\r\n{auth}{cpf}: {'x' * 9000}\r\n\r\n",
        f"GET /{'x' * 9000}{cpf}{secret} HTTP/1.1\r\nHost: x\r\n\r\n",
    ):  # fmt: skip
        port = int(services.env["GATEWAY_PORT"])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            head, _, rest = request.partition("\r\n\r\n")
            connection.sendall(f"{head}\r\nConnection: close\r\n\r\n{rest}".encode())
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.split()[1].startswith(b"4")
    services.stop()
    log = services.log("gateway")
    assert "not HTTP" in log
    assert secret not in log
    assert cpf not in log
    assert services.env["CACHE_SECRET"] not in log
    assert "Traceback" not in log
