"""A private RabbitMQ and a private Redis: own ports, own data, own passwords, loopback only.

They run beside whatever listens on 5672 and 6379, as root or not, and end with this process,
however it ends.
"""

import fcntl
import os
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple, Self

from deploy.local.ports import free_port
from deploy.local.private_files import kept_secret, write_private
from deploy.local.process import Child, ServerError

__all__ = ["PrivateRabbit", "PrivateRedis", "ServerError", "Urls", "servers"]

# The script in /usr/sbin refuses every user but root and rabbitmq.
_RABBIT = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_INSTALL = "install it with deploy/local/install.sh, or name a running one in"

_RABBIT_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = consulta
default_pass = {password}
log.console = true
log.console.level = info
"""
_REDIS_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
save ""
"""


class _Server:
    """What both servers share: the folder, its lock, its password and the life cycle."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.folder = folder.resolve()
        self.port = free_port()
        self.password = kept_secret(self.folder / "password")
        self._lock: IO[str] | None = None

    def start(self) -> None:
        """Start, or start again on the same port and data; returns once it answers.

        Raises:
            ServerError: it is not installed, its folder is in use, or it did not come up.
        """
        self._take_lock()
        try:
            self._launch()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it in good order; nothing it started remains. Harmless when it does not run."""
        self._halt()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """Process id of the server itself, while it runs."""
        raise NotImplementedError

    def _launch(self) -> None:
        raise NotImplementedError

    def _halt(self) -> None:
        raise NotImplementedError

    def _take_lock(self) -> None:
        # A pid file left behind means a server to end, unless its run is still there.
        if self._lock is None:
            lock = (self.folder / "lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                raise ServerError(f"{self.folder} is in use by another run: end it first") from None
            self._lock = lock


class PrivateRabbit(_Server):
    """RabbitMQ with an epmd of its own.

    Args:
        folder: data, log, cookie and password; data of an earlier run in it is used again.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._epmd_port, self._distribution_port = free_port(), free_port()
        self._epmd = Child("epmd", self.folder)
        self._broker = Child("rabbitmq", self.folder)

    @property
    def url(self) -> str:
        """The AMQP address, user and password included."""
        return f"amqp://consulta:{self.password}@127.0.0.1:{self.port}/"

    @property
    def env(self) -> dict[str, str]:
        """The whole environment of the broker; ``rabbitmqctl`` run with it reaches the broker."""
        of = self.folder
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(of),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_CRASH_DUMP": os.devnull,
            "RABBITMQ_NODENAME": "consulta@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(of / "data"),
            "RABBITMQ_LOG_BASE": str(of / "logs"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SCHEMA_DIR": str(of / "schema"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(of / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(of / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(of / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(of / "generated"),
            "RABBITMQ_CONF_ENV_FILE": str(of / "rabbitmq-env.conf"),
            "RABBITMQ_PID_FILE": str(of / "node.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}"
            ),
            # The script then becomes the broker instead of staying in front of it: one process
            # to signal.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    @property
    def pid(self) -> int | None:
        return self._broker.pid

    def kill(self) -> None:
        """SIGKILL the broker, as a crash would end it; ``start()`` brings it back."""
        self._broker.stop(signal.SIGKILL)

    def _launch(self) -> None:
        epmd = shutil.which("epmd")
        if epmd is None or not Path(_RABBIT).exists():
            raise ServerError(f"rabbitmq-server is missing: {_INSTALL} AMQP_URL")
        kept_secret(self.folder / ".erlang.cookie")
        write_private(
            self.folder / "rabbitmq.conf",
            _RABBIT_CONFIG.format(port=self.port, password=self.password),
        )
        (self.folder / "enabled_plugins").write_text("[].\n")
        if self._epmd.pid is None:
            # The broker would start one that outlives it.
            self._epmd.spawn([epmd, "-port", str(self._epmd_port)], self.env)
            self._epmd.wait_until(lambda: _answers(self._epmd_port, b"", b""), 10)
        self._broker.spawn([_RABBIT], self.env)
        greeting = b"AMQP\x00\x00\x09\x01"
        method_frame = b"\x01\x00\x00"  # Connection.Start, on channel 0
        self._broker.wait_until(lambda: _answers(self.port, greeting, method_frame), 60)

    def _halt(self) -> None:
        self._broker.stop()
        self._epmd.stop()


class PrivateRedis(_Server):
    """Redis with its append-only file on.

    Args:
        folder: data, log and password; data of an earlier run in it is used again.
        through: the words of a command that becomes the server, such as ``env`` with options.
    """

    def __init__(self, folder: Path, through: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self._through = through
        self._redis = Child("redis", self.folder)

    @property
    def url(self) -> str:
        """The Redis address, password included."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        return self._redis.pid

    def kill(self) -> None:
        """SIGKILL it, as a crash would end it; ``start()`` brings it back."""
        self._redis.stop(signal.SIGKILL)

    def _launch(self) -> None:
        server = shutil.which("redis-server")
        if server is None:
            raise ServerError(f"redis-server is missing: {_INSTALL} REDIS_URL")
        config = self.folder / "redis.conf"  # a password among the arguments would show in ps
        write_private(
            config,
            _REDIS_CONFIG.format(port=self.port, password=self.password, folder=self.folder),
        )
        command = [*self._through, server, str(config)]
        self._redis.spawn(command, {"PATH": os.defpath, "LANG": "C.UTF-8"})
        hello = f"AUTH {self.password}\r\nPING\r\n".encode()
        self._redis.wait_until(lambda: _answers(self.port, hello, b"+OK\r\n+PONG"), 30)

    def _halt(self) -> None:
        self._redis.stop()


class Urls(NamedTuple):
    """Where the broker and the store are."""

    amqp: str
    redis: str


@contextmanager
def servers(folder: Path, amqp_url: str | None, redis_url: str | None) -> Iterator[Urls]:
    """The servers to use: those named, else private ones under ``folder`` until the block ends.

    Args:
        folder: gets ``rabbitmq/`` and ``redis/`` for the private ones.
        amqp_url: a running broker, usually ``AMQP_URL``; None or empty for a private one.
        redis_url: a running store, usually ``REDIS_URL``; None or empty for a private one.

    Raises:
        ServerError: a private one could not be started; none is left running.
    """
    with ExitStack() as running:
        if not redis_url:
            redis_url = running.enter_context(PrivateRedis(folder / "redis")).url
        if not amqp_url:
            amqp_url = running.enter_context(PrivateRabbit(folder / "rabbitmq")).url
        yield Urls(amqp_url, redis_url)


def _answers(port: int, hello: bytes, answer: bytes) -> bool:
    """Whether the server on ``port`` takes a connection and answers ``hello`` so."""
    got = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(hello)
            while len(got) < len(answer) and (chunk := connection.recv(64)):
                got += chunk
    except OSError:
        return False
    return got.startswith(answer)
