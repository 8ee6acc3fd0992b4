"""Answers played to the page in the gateway's place, each first held against its contract.

What the gateway would never say proves nothing about the page: strictly, so a field that is missing
or that the contract does not know fails the test that plays it.
"""

import json
from typing import Any, Final

from playwright.async_api import Page, Route

from tests.specification import Validator, openapi_document

TASK: Final = "00000000-0000-4000-8000-000000000001"
FOLLOW: Final = ("GET", "/api/consultas/{task_id}/eventos")
_AT: Final = "2026-02-25T14:30:45.123456Z"


async def play(page: Page, path: str, body: Any, *, status: int = 200) -> None:
    """Answer the page's GETs of a path with a body."""
    text = json.dumps(body)
    media = check(("GET", path), status, text)

    async def answer(route: Route) -> None:
        await route.fulfill(status=status, body=text, content_type=media)

    await page.route(f"**{path}", answer)


async def play_stream(page: Page, task: str, *told: dict[str, Any]) -> None:
    """Answer the page that follows a lookup with a whole stream."""
    text = stream(task, *told)
    check(FOLLOW, 200, text)

    async def answer(route: Route) -> None:
        await route.fulfill(content_type="text/event-stream", body=text)

    await page.route(f"**/api/consultas/{task}/eventos", answer)


def check(operation: tuple[str, str], status: int, text: str) -> str:
    """Fail unless an operation may answer so. Of a stream that breaks off, what is whole counts.

    Returns the media type.
    """
    document = openapi_document()
    method, path = operation
    response = document["paths"][path][method.lower()]["responses"][str(status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    [(media, content)] = response["content"].items()
    validator = Validator(document, strict=True)
    if media == "text/event-stream":
        text = text.rpartition("\n\n")[0]
        assert all(line.startswith(("id: ", "event: ", "data: ")) for line in _lines(text))
    validator.check_content(text, media, content)
    return str(media)


def _lines(text: str) -> list[str]:
    blocks = [block for block in text.split("\n\n") if not block.startswith("retry: ")]
    return [line for block in blocks for line in block.splitlines()]


def stream(task: str, *told: dict[str, Any]) -> str:
    """Events, and resets, as a stream's text. What every event has is put in."""
    return "".join(frame({"task_id": task, **one} if "tipo" in one else one) for one in told)


def frame(told: dict[str, Any]) -> str:
    """One event, or one reset, as it stands in a stream."""
    if "tipo" not in told:
        return f"event: reset\ndata: {json.dumps(told)}\n\n"
    body = json.dumps({"task_id": TASK, "timestamp": _AT, **told})
    return f"id: {told['seq']}\nevent: {told['tipo']}\ndata: {body}\n\n"


def problem(status: int, title: str, detail: str, **more: str) -> dict[str, Any]:
    """A problem's body."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}


def reset(status: str, number: int) -> dict[str, Any]:
    """What a stream says first to a cursor it never gave out."""
    return {"dados": {"status": status, "eventos": number}}
