"""A provider with something local at its address, and the examples it is tested with."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from enricher.http import session
from enricher.providers import registry
from enricher.providers.base import Access, Provider, Query
from shared.settings import Secret

EXAMPLES: Final = Path(__file__).with_name("examples")
# Of the form Serpro asks for; to the bridges it is as good as any.
KEY: Final = Secret("consumer-key:consumer-secret")
PROVIDERS: Final = registry.found(registry.modules())


@dataclass(frozen=True)
class Example:
    """One recorded answer, and what is to be made of it."""

    provider: str
    name: str
    content: dict[str, Any]

    @property
    def query(self) -> Query:
        return Query(**self.content["query"], request_id="00000000-0000-4000-8000-000000000000")

    def response(self) -> web.Response:
        body = self.content["body"]
        return web.Response(
            status=self.content["status"],
            text=body if isinstance(body, str) else json.dumps(body),
            headers={
                "Content-Type": self.content["content_type"],
                **self.content.get("headers", {}),
            },
        )

    def __str__(self) -> str:
        return f"{self.provider}-{self.name}"


def examples() -> list[Example]:
    """All of them."""
    return [
        Example(path.parent.name, path.stem, json.loads(path.read_text()))
        for path in sorted(EXAMPLES.glob("*/*.json"))
    ]


def made(name: str, address: object, http: ClientSession) -> Provider:
    """The provider of that name, at that address."""
    return PROVIDERS[name](Access(str(address), KEY), http)


@asynccontextmanager
async def served(
    name: str, answer: Callable[[web.Request], web.Response]
) -> AsyncIterator[Provider]:
    """A provider whose calls `answer` answers, tokens excepted."""

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/token":
            return web.json_response({"access_token": "token", "expires_in": 3600})
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app) as server, session() as http:
        yield made(name, server.make_url("/"), http)
