"""Ask the person at the terminal, or read what is piped in."""

import sys

from consulta.cli.parser import UsageError


def identifier(kind: str) -> str:
    """The identifier, which never comes from the command line.

    There it would stay in the shell's history, and everybody on the machine could read it in the
    list of processes.

    Raises:
        UsageError: there is none.
    """
    if sys.stdin.isatty():
        print(f"{kind}: ", end="", file=sys.stderr, flush=True)
    try:
        text = sys.stdin.readline().strip()
    except UnicodeDecodeError:
        raise UsageError("a entrada padrão não é texto em UTF-8") from None
    if not text:
        raise UsageError("falta o identificador: digite-o quando pedido ou envie-o por um pipe")
    return text


def refuse_identifier(extra: list[str]) -> None:
    """Explain why there is no argument for it.

    Raises:
        UsageError: somebody gave one.
    """
    if extra:
        raise UsageError(
            "o identificador não vai na linha de comando, onde ficaria no histórico e na lista "
            "de processos: digite-o quando pedido ou envie-o por um pipe"
        )


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether the person really wants it.

    Raises:
        UsageError: nobody is there to be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("isto não tem volta: confirme com --yes")
    print(f"{question} [s/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in {"s", "sim"}:
        return True
    print("nada foi feito", file=sys.stderr)
    return False
