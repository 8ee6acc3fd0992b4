"""`consulta keys`: the file of API keys, API_KEYS_FILE."""

import os
from argparse import Namespace
from pathlib import Path

from consulta.cli.output import table
from consulta.cli.parser import Commands, UsageError
from shared import keys
from shared.errors import InvalidSetting
from shared.keys import SCOPES, USUAL_PRIORITY
from shared.topology import MAX_PRIORITY


def add(commands: Commands) -> None:
    """Make it known."""
    group = commands.add("keys", "Cria, revoga e lista as chaves de API.").commands()
    parser = group.add("add", "Cria uma chave, e a mostra esta única vez.", create)
    parser.add_argument("cliente", metavar="CLIENTE", help="a quem pertence: a-z, 0-9 e hífen")
    parser.add_argument(
        "--escopo",
        action="append",
        choices=SCOPES,
        metavar="ESCOPO",
        help=f"{', '.join(SCOPES)}; repita para vários (consultar e acompanhar)",
    )
    parser.add_argument("--limite", default="600/min", help="consultas por janela (600/min)")
    parser.add_argument(
        "--simultaneas", type=int, default=100, help="consultas em andamento ao mesmo tempo (100)"
    )
    parser.add_argument(
        "--prioridade-maxima",
        type=int,
        metavar="N",
        default=USUAL_PRIORITY,
        help=f"a maior que pode pedir, de 1 a {MAX_PRIORITY} ({USUAL_PRIORITY})",
    )
    parser = group.add("revoke", "Revoga uma chave; vale em um segundo, sem reinício.", revoke)
    parser.add_argument("id", metavar="ID", help="como em `consulta keys list`")
    group.add("list", "Lista as chaves, sem os segredos.", show)


def create(args: Namespace) -> int:
    """Make a key and print it."""
    scopes = args.escopo or ["consultar", "acompanhar"]
    key = keys.add(
        _file(), args.cliente, scopes, args.limite, args.simultaneas, args.prioridade_maxima
    )
    print(key)
    return 0


def revoke(args: Namespace) -> int:
    """Make a key useless."""
    keys.revoke(_file(), args.id)
    print(f"{args.id}: revogada")
    return 0


def show(_: Namespace) -> int:
    """Print what is known of each key."""
    path = _file()
    try:
        known = keys.Keys(path).all() if path.exists() else []
    except InvalidSetting as error:
        raise UsageError(str(error)) from None
    table(
        ("id", "cliente", "escopos", "limite", "simultâneas", "prioridade", "criada", "revogada"),
        [
            (key.id, key.tenant, ",".join(key.scopes), key.rate, key.concurrency, key.highest,
             key.created, key.revoked)
            for key in known
        ],
    )  # fmt: skip
    return 0


def _file() -> Path:
    path = os.environ.get("API_KEYS_FILE")
    if not path:
        raise UsageError("API_KEYS_FILE não está definida; aponte para o arquivo das chaves")
    return Path(path)
