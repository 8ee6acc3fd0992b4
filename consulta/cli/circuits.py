"""`consulta circuits`: the providers' breakers, looked at or held."""

from argparse import Namespace
from typing import Final

from consulta.cli.environment import with_gateway
from consulta.cli.output import as_json, instant, table
from consulta.cli.parser import Commands
from consulta.http import HttpClient
from shared.domain.answers import CircuitHold

_ORDERS: Final[dict[str, tuple[CircuitHold, str]]] = {
    "open": ("ABERTO", "Mantém o circuito aberto: o provedor não é chamado."),
    "close": ("FECHADO", "Mantém o circuito fechado: o provedor é chamado mesmo com falhas."),
    "auto": ("AUTOMATICO", "Deixa o circuito decidir sozinho de novo."),
}


def add(commands: Commands) -> None:
    """Make it known."""
    group = commands.add("circuits", "Mostra os circuitos dos provedores, ou fixa um deles.", show)
    group.add_argument("--json", action="store_true", help="como a API responde")
    orders = group.commands(required=False)
    for name, (order, help_) in _ORDERS.items():
        parser = orders.add(name, help_, hold)
        parser.set_defaults(order=order)
        parser.add_argument("circuito", metavar="NOME", help="como em `consulta circuits`")


def show(args: Namespace) -> int:
    """Print them all."""
    told = with_gateway(HttpClient.circuits)
    if args.json:
        as_json(told)
        return 0
    table(
        ("circuito", "estado", "falhas", "sucesso", "reabre", "motivo"),
        [
            (name, circuit.state, circuit.failures, circuit.successes,
             instant(circuit.reopens), circuit.cause)
            for name, circuit in sorted(told.items())
        ],
    )  # fmt: skip
    return 0


def hold(args: Namespace) -> int:
    """Hold one, or let it go."""
    with_gateway(lambda client: client.set_circuit(args.circuito, args.order))
    print(f"{args.circuito}: {args.order}")
    return 0
