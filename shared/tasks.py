"""Ending tasks that run until they are cancelled, and finding out why one does not."""

import asyncio
import inspect
from collections.abc import Iterable
from typing import Any, Final

# Longer than what a task does on its way out.
AGAIN_S: Final = 5.0


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks until they have ended, however they do.

    Once is not always enough: what waits in `asyncio.wait_for` (before Python 3.12) loses a
    cancellation that comes together with what it waited for, and a loop around it goes on.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        ended, running = await asyncio.wait(running, timeout=AGAIN_S)
        for task in ended:
            if not task.cancelled():
                # Nobody else takes it.
                task.exception()


def waiting(task: "asyncio.Task[Any]") -> str:
    """Where a task waits: the functions from its outermost to its innermost."""
    path = [task.get_name()]
    inner: Any = task.get_coro()
    while inspect.iscoroutine(inner):
        path.append(inner.__qualname__)
        inner = inner.cr_await
    return " > ".join(path)


def is_cancelled() -> bool:
    """Whether somebody cancelled this task. A CancelledError alone does not say so."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
