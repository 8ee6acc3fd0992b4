"""The specifications and their page: public, the same bytes for as long as the process lives."""

import hashlib
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from msgspec import json

from gateway import asyncapi, openapi

STATIC: Final = Path(__file__).parent / "static"


def serve(app: web.Application) -> None:
    """Add the routes. The routes to be described have to be there already."""
    app.router.add_get("/openapi.json", _document(openapi.document(app)))
    app.router.add_get("/asyncapi.json", _document(asyncapi.document()))
    app.router.add_get("/docs", _page)


def _document(document: dict[str, Any]) -> Any:
    body = json.encode(document)
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    async def handler(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type="application/json", headers=headers)

    return handler


async def _page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(STATIC / "docs.html")
