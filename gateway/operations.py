"""The routes for operators: queues and periodic jobs."""

import time
from typing import Final

from aiohttp import web

from gateway.answers import json_answer
from shared.app import STORE
from shared.jobs import JOBS
from shared.queues import Queues
from shared.schedule import agenda

QUEUES: Final = web.AppKey("queues", Queues)

routes = web.RouteTableDef()


@routes.get("/api/filas")
async def queues(request: web.Request) -> web.Response:
    """Work going on, scheduled and waiting; living workers; depth, age and limit of each queue."""
    return json_answer(await request.app[QUEUES].statistics())


@routes.get("/api/agenda")
async def jobs(request: web.Request) -> web.Response:
    """Periodic jobs: schedule, last run and its result, next run."""
    return json_answer({"tarefas": await agenda(request.app[STORE], JOBS, time.time())})
