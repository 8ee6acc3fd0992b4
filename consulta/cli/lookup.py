"""`consulta lookup`: one lookup, each event as it comes."""

import shutil
import sys
import time
from argparse import SUPPRESS, Namespace
from typing import Any, Final

from msgspec import UNSET

from consulta.cli.environment import with_gateway
from consulta.cli.output import TINTS, as_json, compact, tinted
from consulta.cli.parser import Commands
from consulta.cli.questions import identifier, refuse_identifier
from consulta.http import HttpClient
from consulta.options import Options
from shared.identifiers import KINDS
from shared.messages import STAGES, Event

_HELP: Final = (
    "Faz uma consulta e mostra cada evento assim que chega. O identificador é pedido ou vem "
    "pela entrada padrão."
)
_FIXED: Final = 54  # columns before the data
_OPTIONS: Final = {
    "prioridade": "priority", "atraso": "delay", "prazo": "deadline", "atualizar": "refresh",
    "etapa": "stages", "finalidade": "purpose", "base_legal": "legal_basis",
}  # fmt: skip


def add(commands: Commands) -> None:
    """Make it known."""
    parser = commands.add("lookup", _HELP, run)
    parser.add_argument("tipo", choices=KINDS, metavar="TIPO", help=", ".join(KINDS))
    # Here to be refused with the reason, rather than as an argument too many.
    parser.add_argument("extra", nargs="*", help=SUPPRESS)
    parser.add_argument("--prioridade", type=int, metavar="N", help="1 (último) a 10 (primeiro)")
    parser.add_argument("--atraso", type=float, metavar="S", help="segundos até começar")
    parser.add_argument("--prazo", type=float, metavar="S", help="segundos até terminar")
    parser.add_argument("--atualizar", action="store_true", default=None, help="ignora o cache")
    parser.add_argument(
        "--etapa", action="append", choices=STAGES, metavar="ETAPA",
        help=f"só esta; pode repetir-se: {', '.join(STAGES)}",
    )  # fmt: skip
    parser.add_argument("--finalidade", metavar="TEXTO", help="para que servem os dados")
    parser.add_argument("--base-legal", metavar="TEXTO", help="a base legal da consulta")
    parser.add_argument("--json", action="store_true", help="um evento por linha, inteiro")


def run(args: Namespace) -> int:
    """Stream it; 0 for `completo`, 1 for `error`."""
    refuse_identifier(args.extra)
    asked = identifier(args.tipo)
    options: Any = {
        name: value for flag, name in _OPTIONS.items() if (value := getattr(args, flag)) is not None
    }
    return with_gateway(lambda client: _stream(client, args, asked, options))


async def _stream(client: HttpClient, args: Namespace, asked: str, options: Options) -> int:
    began = time.monotonic()
    last: Event | None = None
    if not args.json:
        print(tinted(f"{'ms':>8}  {'evento':<10}  {'situação':<15}  {'origem':<15}  dados", "dim"))
    async for last in client.lookup(args.tipo, asked, **options):
        if args.json:
            as_json(last)
        else:
            print(_line(last, (time.monotonic() - began) * 1000), flush=True)
    if last is not None and last.type == "error":
        print(f"consulta: {_reason(last)}", file=sys.stderr)
        return 1
    return 0


def _line(event: Event, ms: float) -> str:
    outcome = "" if event.outcome is UNSET else event.outcome
    source = "cache" if event.cached else "" if event.source is UNSET else event.source
    width = max(shutil.get_terminal_size((120, 24)).columns - _FIXED - 4, 20)
    return "  ".join((
        f"{ms:8.1f}",
        tinted(f"{event.type:<10}", TINTS.get(event.type)),
        tinted(f"{outcome:<15}", TINTS.get(outcome)),
        f"{compact(source, 15):<15}",
        compact(event.data, width),
    )).rstrip()  # fmt: skip


def _reason(event: Event) -> str:
    told = event.data.get("mensagem") if isinstance(event.data, dict) else None
    return compact(told, 500) or "a consulta terminou em erro"
