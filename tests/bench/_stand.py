"""Servers and services of a benchmark's own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.servers import PrivateRabbit, PrivateRedis
from tests.arena import Arenas
from tests.services import Services


@contextmanager
def running(*names: str, **settings: str) -> Iterator[Services]:
    """These services, or all of them, on a private broker and store, until the block ends."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with PrivateRabbit(folder / "rabbit") as rabbit, PrivateRedis(folder / "redis") as redis:
            services = Services(Arenas(rabbit, redis).new(), folder, **settings)
            try:
                services.start(*names)
                yield services
            finally:
                services.stop()
