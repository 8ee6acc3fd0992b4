"""A private Redis that falls ill on demand and gets well again: full, read-only, stuck."""

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import redis

from deploy.local.process import Child
from deploy.local.servers import PrivateRedis

_LOOP: Final = "while true do end"


class _Limitable(Child):
    """Survives a write beyond its limit on file sizes: that fails as one on a full disk does."""

    def spawn(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        super().spawn(["env", "--ignore-signal=XFSZ", *command], env)


class SickRedis(PrivateRedis):
    """Each method makes it ill for as long as its block lasts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._redis = _Limitable("redis", self.folder)

    def disk_full(self) -> AbstractContextManager[None]:
        """No more can be written to its append-only file: MISCONF."""
        return self._ill(self._no_more_files, self._files_again, "MISCONF")

    def memory_full(self) -> AbstractContextManager[None]:
        """`maxmemory` is reached: OOM."""
        return self._ill(lambda: self._set("maxmemory", 1), lambda: self._set("maxmemory", 0))

    def replicas_missing(self) -> AbstractContextManager[None]:
        """It has fewer replicas than it is to have: NOREPLICAS."""
        name = "min-replicas-to-write"
        return self._ill(lambda: self._set(name, 1), lambda: self._set(name, 0))

    def read_only(self) -> AbstractContextManager[None]:
        """A failover has made it a replica: READONLY."""
        return self._ill(lambda: self._replica_of("127.0.0.1", "1"), self._replica_of)

    def stopped(self) -> AbstractContextManager[None]:
        """Its process does not run: no answer at all."""
        return self._ill(lambda: self._signal(signal.SIGSTOP), lambda: self._signal(signal.SIGCONT))

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A script does not end: BUSY."""
        self._set("busy-reply-threshold", 1)
        with redis.Redis.from_url(self.url) as client:
            stuck = client.connection_pool.get_connection()
            stuck.send_command("EVAL", _LOOP, 0)
            try:
                self._until(lambda: self._complaint().startswith("BUSY"))
                yield
            finally:
                client.script_kill()
                self._until(lambda: not self._complaint())
                stuck.disconnect()

    @contextmanager
    def _ill(
        self, sicken: Callable[[], object], heal: Callable[[], object], complaint: str = ""
    ) -> Iterator[None]:
        try:
            sicken()
            if complaint:
                self._until(lambda: self._complaint().startswith(complaint))
            yield
        finally:
            heal()
            self._until(lambda: not self._complaint())

    def _no_more_files(self) -> None:
        resource.prlimit(self._pid(), resource.RLIMIT_FSIZE, (0, self._most_files()))
        # Unless somebody else's write was the one too many, which has this one refused.
        with redis.Redis.from_url(self.url) as client, suppress(redis.ResponseError):
            client.incr("one-write-too-many")

    def _files_again(self) -> None:
        resource.prlimit(self._pid(), resource.RLIMIT_FSIZE, (self._most_files(),) * 2)

    def _most_files(self) -> int:
        return resource.prlimit(self._pid(), resource.RLIMIT_FSIZE)[1]

    def _set(self, name: str, value: int) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.config_set(name, value)

    def _replica_of(self, *primary: Any) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.replicaof(*(primary or ("NO", "ONE")))

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self._pid(), number)

    def _pid(self) -> int:
        assert self._redis.pid is not None
        return self._redis.pid

    def _complaint(self) -> str:
        """What it says to a PING, if that is an error."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            try:
                client.ping()
            except redis.RedisError as error:
                return str(error)
        return ""

    def _until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.01)
