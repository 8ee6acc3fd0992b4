"""`consulta jobs`: the periodic jobs, looked at or run by hand."""

from argparse import Namespace

from consulta.cli.environment import with_gateway
from consulta.cli.output import as_json, compact, instant, table
from consulta.cli.parser import Commands
from consulta.http import HttpClient

_RESULT_WIDTH = 60


def add(commands: Commands) -> None:
    """Make it known."""
    group = commands.add("jobs", "Mostra as tarefas periódicas, ou roda uma agora.", show)
    group.add_argument("--json", action="store_true", help="como a API responde")
    parser = group.commands(required=False).add("run", "Roda uma tarefa agora.", run)
    parser.add_argument("tarefa", metavar="NOME", help="como em `consulta jobs`")


def show(args: Namespace) -> int:
    """Print them all."""
    told = with_gateway(HttpClient.jobs)
    if args.json:
        as_json(told)
        return 0
    table(
        ("tarefa", "agenda", "última", "situação", "perdidas", "próxima", "resultado"),
        [
            (job.name, job.cron, instant(job.last), job.outcome, job.missed, instant(job.next),
             compact(job.result, _RESULT_WIDTH))
            for job in told.jobs
        ],
    )  # fmt: skip
    return 0


def run(args: Namespace) -> int:
    """Run one beside its schedule."""
    with_gateway(lambda client: client.run_job(args.tarefa))
    print(f"{args.tarefa}: pedida")
    return 0
