"""Subjects that are cached, and a handler of aiohttp that has the same answers."""

import json
import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

import redis
import uvloop

from deploy.local.ports import free_port
from tests.bench._ask import people, session
from tests.bench._completed import Completed
from tests.bench._stand import Stand
from tests.bench._wrk import Answered, post

_PATH: Final = "/api/consultas"
_DRAWS: Final = 100_000


@dataclass(frozen=True)
class Both:
    """The gateway and the handler, with the same subjects in Redis."""

    urls: dict[str, str]
    subjects: Sequence[str]
    folder: Path

    def ask(
        self, bodies: Path, connections: int, seconds: int, times: int
    ) -> dict[str, list[Answered]]:
        """Ask both for so long, so many times, in alternating order, each warmed up."""
        found: dict[str, list[Answered]] = {name: [] for name in self.urls}
        for turn in range(times):
            for name in sorted(self.urls, reverse=bool(turn % 2)):
                post(self.urls[name], bodies, connections, 1)
                found[name].append(post(self.urls[name], bodies, connections, seconds))
        return found

    def one(self) -> Path:
        """The bodies of a client that asks for one hot subject."""
        return _written(self.folder / "one", self.subjects[:1])

    def zipf(self) -> Path:
        """Those of one that asks for the n-th most wanted subject in one of n cases."""
        weights = [1 / rank for rank in range(1, len(self.subjects) + 1)]
        draws = random.Random(1).choices(self.subjects, weights, k=_DRAWS)
        return _written(self.folder / "zipf", draws)


@contextmanager
def both(stand: Stand, number: int) -> Iterator[Both]:
    """Look up so many people, so that they are cached, and give the handler what is answered."""
    subjects = cached(stand, number)
    ours = f"{stand.services.gateway}{_PATH}"
    answer = _answer(ours, subjects[0])
    store = stand.arenas.new().redis_url
    with redis.Redis.from_url(store) as client:
        for place in range(0, number, 1000):
            some = subjects[place : place + 1000]
            client.mset({f"bench:cpf:{cpf}": answer for cpf in some})
    port = free_port()
    with stand.helper("handler", ["tests.bench._handler", str(port)], REDIS_URL=store) as handler:
        handler.wait_until(lambda: _listens(port), 30)
        theirs = f"http://127.0.0.1:{port}{_PATH}"
        assert len(_answer(theirs, subjects[0])) == len(answer)
        yield Both({"ours": ours, "handler": theirs}, subjects, stand.folder)


def cached(stand: Stand, number: int) -> list[str]:
    """So many people who have been looked up."""
    subjects = people(number)
    uvloop.run(_ordered(stand, subjects))
    return subjects


async def _ordered(stand: Stand, subjects: Sequence[str]) -> None:
    async with Completed(stand.services) as completed:
        await order(stand, subjects, 3600)
        await completed.reaches(len(subjects))


async def order(stand: Stand, subjects: Sequence[str], seconds: int) -> None:
    """Ask for these lookups, thousands at a time, without following them."""
    async with session() as http:
        for place in range(0, len(subjects), 2000):
            some = subjects[place : place + 2000]
            items = [{"identificador": cpf, "tipo": "cpf", "prazo": seconds} for cpf in some]
            async with http.post(f"{stand.services.gateway}{_PATH}/lote", json=items) as answer:
                told = await answer.json()
            refused = [item for item in told if item["http"] != 202]
            assert not refused, refused[0]


def _written(path: Path, subjects: Sequence[str]) -> Path:
    path.write_text("".join(f"{_body(cpf)}\n" for cpf in subjects))
    return path


def _body(cpf: str) -> str:
    return json.dumps({"identificador": cpf, "tipo": "cpf"})


def _answer(url: str, cpf: str) -> bytes:
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(url, _body(cpf).encode(), headers)) as answer:
        assert answer.status == 200, answer.status
        found: bytes = answer.read()
    return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
