"""The routes for operators: queues and periodic jobs."""

import time
from typing import Final

from aiohttp import web

from gateway.answers import json_answer
from gateway.operation import operation
from gateway.problems import Problem
from shared.app import BUS, STORE
from shared.jobs import JOBS
from shared.messages import JobRequested
from shared.queues import Queues
from shared.schedule import agenda
from shared.topology import JOBS as JOB_REQUESTED

QUEUES: Final = web.AppKey("queues", Queues)

routes = web.RouteTableDef()


@routes.get("/api/filas")
@operation("administrar")
async def queues(request: web.Request) -> web.Response:
    """Work going on, scheduled and waiting; living workers; depth, age and limit of each queue."""
    return json_answer(await request.app[QUEUES].statistics())


@routes.get("/api/agenda")
@operation("administrar")
async def jobs(request: web.Request) -> web.Response:
    """Periodic jobs: schedule, last run and its result, next run."""
    return json_answer({"tarefas": await agenda(request.app[STORE], JOBS, time.time())})


@routes.post("/api/agenda/{nome}")
@operation("administrar")
async def run_job(request: web.Request) -> web.Response:
    """Run a periodic job now, beside its schedule."""
    name = request.match_info["nome"]
    if name not in {known for known, _ in JOBS}:
        raise Problem(404, f"as tarefas são {', '.join(known for known, _ in JOBS)}")
    await request.app[BUS].command(JOB_REQUESTED, JobRequested(name=name), timeout=3.0)
    return json_answer({"nome": name, "situacao": "pedida"}, status=202)
