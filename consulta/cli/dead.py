"""`consulta dead`: the messages that could not be handled."""

from argparse import Namespace

from consulta.cli.environment import with_dead_letters
from consulta.cli.output import as_json, cell, compact, table
from consulta.cli.parser import Commands, Parser, UsageError
from consulta.cli.questions import confirmed
from consulta.dead_letters import DeadLetters
from consulta.letters import NAMES, DeadLetter
from consulta.masking import masked, plain, revealed, without_numbers

_MOST = 1000
_REASON_WIDTH = 80


def add(commands: Commands) -> None:
    """Make it known."""
    group = commands.add("dead", "Mensagens mortas: as que não puderam ser tratadas.").commands()
    parser = group.add("list", "Lista as mensagens mortas, de uma fila ou de todas.", list_)
    parser.add_argument("fila", nargs="?", metavar="FILA", help="por exemplo stage.endereco")
    parser.add_argument("--limite", type=int, default=20, metavar="N", help="por fila (20)")
    parser.add_argument("--json", action="store_true", help="uma mensagem por linha")
    parser = group.add("show", "Mostra uma mensagem morta, sem os dados pessoais.", show)
    _which(parser)
    parser.add_argument("--revelar", action="store_true", help="mostra o conteúdo inteiro")
    parser = group.add("replay", "Devolve à sua fila uma mensagem morta, ou todas.", replay)
    _which(parser, optional=True)
    parser.add_argument("--todas", action="store_true", help="todas as que há agora")
    parser = group.add("purge", "Apaga uma mensagem morta, ou todas as de uma fila.", purge)
    _which(parser, optional=True)
    parser.add_argument("--yes", action="store_true", help="não pergunta")


def _which(parser: Parser, *, optional: bool = False) -> None:
    parser.add_argument("fila", metavar="FILA", help=f"uma de {', '.join(NAMES)}")
    parser.add_argument(
        "mensagem", nargs="?" if optional else None, metavar="MENSAGEM",
        help="o número ou o message_id de `consulta dead list`",
    )  # fmt: skip


def list_(args: Namespace) -> int:
    """Print what there is, the oldest first."""
    limit = max(1, min(args.limite, _MOST))
    counts, found = with_dead_letters(lambda dead: _list(dead, args.fila, limit))
    if args.json:
        for name, letter in found:
            as_json(_summary(name, letter))
        return 0
    if not any(counts.values()):
        print("nenhuma mensagem morta")
        return 0
    table(
        ("fila", "nº", "mensagem", "tent.", "bytes", "motivo"),
        [
            (name, letter.position, letter.message_id, letter.attempt or None, letter.size,
             compact(without_numbers(letter.reason), _REASON_WIDTH))
            for name, letter in found
        ],
    )  # fmt: skip
    left = sum(counts.values()) - len(found)
    if left > 0:
        print(f"\ne mais {left}; veja --limite")
    return 0


def show(args: Namespace) -> int:
    """Print one whole."""
    name = _name(args.fila)
    letter = with_dead_letters(lambda dead: dead.letter(name, args.mensagem))
    guard = plain if args.revelar else lambda text, **more: plain(without_numbers(text), **more)
    for title, value in (
        ("fila", name),
        ("número", letter.position),
        ("mensagem", letter.message_id),
        ("volta para", letter.queue),
        ("tentativas", letter.attempt or None),
        ("bytes", letter.size),
        ("motivo", guard(letter.reason)),
    ):
        print(f"{title:<11} {cell(value)}")
    if letter.traceback:
        print(f"\n{guard(letter.traceback, lines=True).rstrip()}")
    print(f"\n{revealed(letter.body) if args.revelar else masked(letter.body)}")
    return 0


def replay(args: Namespace) -> int:
    """Send back one, or all."""
    name = _name(args.fila)
    if (args.mensagem is None) != args.todas:
        raise UsageError("dê uma MENSAGEM ou --todas (veja consulta dead replay --help)")
    done = with_dead_letters(lambda dead: dead.replay(name, args.mensagem))
    print(f"devolvidas: {done.replayed}")
    if done.kept:
        print(f"mantidas, de fila desconhecida: {done.kept}")
    return 1 if done.kept else 0


def purge(args: Namespace) -> int:
    """Delete one, or all."""
    name = _name(args.fila)
    what = "esta mensagem" if args.mensagem else f"todas as mensagens mortas de {name}"
    if not confirmed(f"Apagar {what}?", yes=args.yes):
        return 1
    gone = with_dead_letters(lambda dead: dead.purge(name, args.mensagem))
    print(f"apagadas: {gone}")
    return 0


async def _list(
    dead: DeadLetters, queue: str | None, limit: int
) -> tuple[dict[str, int], list[tuple[str, DeadLetter]]]:
    counts = await dead.counts()
    if queue is not None:
        name = _name(queue)
        counts = {name: counts[name]}
    found = []
    for name, count in counts.items():
        if count:
            found += [(name, letter) for letter in await dead.letters(name, limit)]
    return counts, found


def _summary(name: str, letter: DeadLetter) -> dict[str, object]:
    return {
        "fila": name,
        "numero": letter.position,
        "message_id": letter.message_id,
        "volta_para": letter.queue,
        "tentativas": letter.attempt,
        "bytes": letter.size,
        "motivo": without_numbers(letter.reason),
    }


def _name(queue: str) -> str:
    """A dead queue by its own name, or by that of the queue it belongs to."""
    name = queue.removesuffix(".dead")
    if name not in NAMES:
        raise UsageError(f"não há fila com este nome; existem {', '.join(NAMES)}")
    return name
