"""`consulta cache`: statistics, invalidation, version."""

from argparse import SUPPRESS, Namespace

from consulta.cli.environment import with_gateway
from consulta.cli.output import as_json, table
from consulta.cli.parser import Commands, UsageError
from consulta.cli.questions import confirmed, identifier, refuse_identifier
from consulta.http import HttpClient
from shared.identifiers import KINDS


def add(commands: Commands) -> None:
    """Make it known."""
    group = commands.add("cache", "Estatísticas, invalidação e versão do cache.").commands()
    parser = group.add("stats", "Mostra quantas chaves há e quanto acertam.", stats)
    parser.add_argument("--json", action="store_true", help="como a API responde")
    parser = group.add(
        "invalidate",
        "Esquece um identificador, pedido ou vindo pela entrada padrão, ou tudo o que casa com "
        "um padrão.",
        invalidate,
    )
    parser.add_argument("tipo", nargs="?", choices=KINDS, metavar="TIPO", help=", ".join(KINDS))
    parser.add_argument("extra", nargs="*", help=SUPPRESS)
    parser.add_argument("--padrao", metavar="PADRAO", help="por exemplo consulta:v2:cpf:*")
    parser = group.add("version", "Sobe a versão: tudo o que há no cache deixa de valer.", version)
    parser.add_argument("--yes", action="store_true", help="não pergunta")


def stats(args: Namespace) -> int:
    """Print the statistics."""
    told = with_gateway(HttpClient.cache_statistics)
    if args.json:
        as_json(told)
        return 0
    asked = told.hits + told.misses
    share = f"{100 * told.hits / asked:.1f} %" if asked else None
    table(
        ("chaves", "acertos", "faltas", "acerto", "memória MiB"),
        [(told.total_keys, told.hits, told.misses, share, told.memory_used / 2**20)],
    )
    return 0


def invalidate(args: Namespace) -> int:
    """Forget one subject, or those of a pattern."""
    refuse_identifier(args.extra)
    if (args.tipo is None) == (args.padrao is None):
        raise UsageError("dê um TIPO ou --padrao (veja consulta cache invalidate --help)")
    if args.padrao is not None:
        removed = with_gateway(lambda client: client.invalidate(pattern=args.padrao))
    else:
        asked = identifier(args.tipo)
        removed = with_gateway(lambda client: client.invalidate(args.tipo, asked))
    print(f"removidas: {removed}")
    return 0


def version(args: Namespace) -> int:
    """Raise the version; every lookup after it is a miss, so it is asked for twice."""
    if not confirmed("Invalidar o cache inteiro?", yes=args.yes):
        return 1
    print(f"versão: {with_gateway(HttpClient.raise_version)}")
    return 0
