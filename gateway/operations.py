"""The routes for operators: queues and periodic jobs."""

from typing import Final

from aiohttp import web

from gateway import examples
from gateway.answers import json_answer
from gateway.operation import Answer, Parameter, operation
from gateway.problems import Problem
from shared.app import BUS, STORE
from shared.domain.answers import Agenda, JobOrdered, QueueStatistics
from shared.jobs import JOBS
from shared.messages import JobRequested
from shared.queues import Queues
from shared.schedule import agenda
from shared.topology import JOBS as JOB_REQUESTED

QUEUES: Final = web.AppKey("queues", Queues)

routes = web.RouteTableDef()


@routes.get("/api/filas")
@operation(
    "administrar",
    "As filas: o que está em curso, à espera e adiado, e quanto os limites ainda dão",
    answers={200: Answer(QueueStatistics, "As filas agora.", examples={"filas": examples.QUEUES})},
)
async def queues(request: web.Request) -> web.Response:
    """Work going on, scheduled and waiting; living workers; depth, age and limit of each queue."""
    return json_answer(await request.app[QUEUES].statistics())


@routes.get("/api/agenda")
@operation(
    "administrar",
    "As tarefas periódicas: quando rodam, e como foi a última vez",
    answers={200: Answer(Agenda, "As tarefas.", examples={"agenda": examples.AGENDA})},
)
async def jobs(request: web.Request) -> web.Response:
    """Periodic jobs: schedule, last run and its result, next run."""
    return json_answer({"tarefas": await agenda(request.app[STORE], JOBS)})


@routes.post("/api/agenda/{nome}")
@operation(
    "administrar",
    "Rodar uma tarefa agora, fora da agenda",
    parameters=(Parameter("nome", "path", "A tarefa.", "verificacao_saude"),),
    answers={202: Answer(JobOrdered, "Pedida.", examples={"pedida": examples.JOB_ORDERED})},
)
async def run_job(request: web.Request) -> web.Response:
    """Run a periodic job now, beside its schedule."""
    name = request.match_info["nome"]
    if name not in {known for known, _ in JOBS}:
        raise Problem(404, f"as tarefas são {', '.join(known for known, _ in JOBS)}")
    await request.app[BUS].command(JOB_REQUESTED, JobRequested(name=name), timeout=3.0)
    return json_answer(JobOrdered(name=name, outcome="pedida"), status=202)
