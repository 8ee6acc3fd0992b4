"""`consulta queues`: what waits, what is at work, and what the limits leave."""

from argparse import Namespace

from consulta.cli.environment import with_gateway
from consulta.cli.output import as_json, table
from consulta.cli.parser import Commands
from consulta.http import HttpClient


def add(commands: Commands) -> None:
    """Make it known."""
    parser = commands.add("queues", "Mostra as filas, os limites e as permissões livres.", run)
    parser.add_argument("--json", action="store_true", help="como a API responde")


def run(args: Namespace) -> int:
    """Print them."""
    told = with_gateway(HttpClient.queues)
    if args.json:
        as_json(told)
        return 0
    table(
        ("fila", "prontas", "esperando", "ativas", "mortas", "idade s", "limite", "permissões"),
        [
            (name, queue.ready, queue.waiting, queue.active, queue.dead, queue.age_s, queue.limit,
             queue.permits)
            for name, queue in told.queues.items()
        ],
    )  # fmt: skip
    print(
        f"\nativas {told.active} · agendadas {told.scheduled} · reservadas {told.reserved} · "
        f"workers {told.workers}"
    )
    return 0
