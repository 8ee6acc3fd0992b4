"""The simulator in this process, in a time of its own."""

from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from enricher.simulator.app import build

CPF, CNPJ = "11144477735", "12ABC34501DE35"
KEY = {"Authorization": "Bearer chave"}

Client = TestClient[web.Request, web.Application]


class Time:
    """A clock that stands still and a sleep that only takes note."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def started(time: Time) -> Client:
    """A client of a simulator that runs while the context lasts."""
    return TestClient(TestServer(build(time.clock, time.sleep)))


def lookup(stage: str, value: str = CPF) -> dict[str, Any]:
    return {
        "kind": "cpf",
        "stage": stage,
        "value": value,
        "purpose": "teste",
        "legal_basis": "consentimento",
        "request_id": "1",
    }


async def get(client: Client, path: str, **more: Any) -> tuple[int, Any]:
    async with client.get(path, **more) as response:
        return response.status, await response.json()


async def bridge(client: Client, body: Any, provider: str = "telegram") -> tuple[int, Any]:
    async with client.post(f"/{provider}/lookup", json=body, headers=KEY) as response:
        return response.status, await response.json()


async def put(client: Client, provider: str, **settings: Any) -> dict[str, Any]:
    async with client.put(f"/_control/{provider}", json=settings) as response:
        assert response.status == 200, await response.text()
        content: dict[str, Any] = await response.json()
        return content
