"""JSON answers."""

from typing import Any

from aiohttp import web
from msgspec import json


def json_answer(
    answer: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A body as JSON."""
    return web.Response(
        body=json.encode(answer), status=status, content_type="application/json", headers=headers
    )
