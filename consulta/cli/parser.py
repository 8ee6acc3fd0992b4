"""argparse in Portuguese, and careful: an argument may be an identifier, so none is repeated."""

import argparse
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

_WORDS: Final[tuple[tuple[str, str], ...]] = (
    (r"the following arguments are required: (.*)", r"falta {0}"),
    (r"argument (\S+): expected .*", r"falta o valor de {0}"),
    (r"argument (\S+): invalid choice: .* \(choose from (.*)\)", r"{0}: use um de {1}"),
    (r"argument (\S+): not allowed with argument (\S+)", r"use {0} ou {1}, não os dois"),
    (r"argument (\S+): invalid (?:int|float) value.*", r"{0}: use um número"),
    (r"unrecognized arguments: .*", r"há argumentos a mais"),
)


class UsageError(Exception):
    """The command was used wrongly; the text says how to mend it."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[Any],
        prefix: str | None = None,
    ) -> None:
        super().add_usage(usage, actions, groups, "uso: " if prefix is None else prefix)


class Parser(argparse.ArgumentParser):
    """A command, or a group of them."""

    def __init__(self, prog: str, description: str, **more: Any) -> None:
        # Abbreviations would change their meaning with every option added.
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=_Formatter,
            add_help=False,
            allow_abbrev=False,
            **more,
        )
        self._positionals.title = "argumentos"
        self._optionals.title = "opções"
        self.add_argument("-h", "--help", action="help", help="mostra esta ajuda")

    def commands(self, *, required: bool = True) -> "Commands":
        """Make this a group of commands; where none is required it also runs by itself."""
        return Commands(self.add_subparsers(title="comandos", metavar="COMANDO", required=required))

    def error(self, message: str) -> NoReturn:
        """One line in Portuguese, exit code 2. What was typed is not repeated."""
        told = "uso incorreto"
        for pattern, words in _WORDS:
            if found := re.fullmatch(pattern, message, re.DOTALL):
                told = words.format(*found.groups()).replace("'", "")
                break
        self.exit(2, f"consulta: {told} (veja {self.prog} --help)\n")


class Commands:
    """The commands of a group."""

    def __init__(self, actions: Any) -> None:
        self._actions = actions

    def add(
        self, name: str, help_: str, run: Callable[[argparse.Namespace], int] | None = None
    ) -> Parser:
        """A further command; `run` returns its exit code."""
        parser: Parser = self._actions.add_parser(name, help=help_, description=help_)
        if run is not None:
            parser.set_defaults(run=run)
        return parser
