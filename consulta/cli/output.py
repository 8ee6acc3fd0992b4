"""Print to a person, or to the next program."""

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from consulta.masking import plain

_COLOURS: Final = {"green": "32", "yellow": "33", "red": "31", "dim": "2"}
# What a word means at a glance, wherever it stands.
TINTS: Final[Mapping[str, str]] = {
    "ok": "green", "FECHADO": "green", "completo": "green", "error": "red", "ABERTO": "red",
    "MEIO_ABERTO": "yellow", "aguardando": "yellow", "degradado": "yellow", "limitado": "yellow",
    "nao_confirmado": "yellow", "indisponivel": "red", "bloqueado": "red", "expirado": "red",
    "nao_configurado": "yellow", "cancelado": "yellow", "em_curso": "yellow", "erro": "red",
    "interrompida": "red",
}  # fmt: skip


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print aligned columns: numbers to the right, the rest to the left, without padding at the
    end of a line.
    """
    texts = [[cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *texts, strict=True)]
    right = [
        all(value is None or _is_number(value) for value in column) and any(map(_is_number, column))
        for column in zip(*rows, strict=True)
    ] or [False] * len(head)
    print(tinted(_line(head, widths, right), "dim"))
    for row in texts:
        print(_line(row, widths, right, tints=TINTS))


def cell(value: Any) -> str:
    """A value in a table."""
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}"
    return plain(str(value))


def instant(text: str | None) -> str | None:
    """An instant of the wire in this machine's time."""
    try:
        return (
            datetime.fromisoformat(text).astimezone().strftime("%d/%m %H:%M:%S") if text else None
        )
    except ValueError:
        return text


def compact(value: Any, width: int) -> str:
    """The start of a value as JSON, on one line."""
    if value in (None, {}, []):
        return ""
    text = plain(value if isinstance(value, str) else msgspec.json.encode(value).decode())
    return text if len(text) <= width else f"{text[: max(width - 1, 0)]}…"


def as_json(value: Any) -> None:
    """One line of JSON, as the API has it."""
    print(msgspec.json.encode(value).decode(), flush=True)


def tinted(text: str, colour: str | None) -> str:
    """Coloured where a person looks at it and has nothing against it (no-color.org)."""
    if not colour or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\033[{_COLOURS[colour]}m{text}\033[0m" if sys.stdout.isatty() else text


def _line(
    row: Sequence[str],
    widths: Sequence[int],
    right: Sequence[bool],
    tints: Mapping[str, str] | None = None,
) -> str:
    cells = []
    for text, width, to_right in zip(row, widths, right, strict=True):
        padding = " " * (width - len(text))
        shown = tinted(text, (tints or {}).get(text))
        cells.append(f"{padding}{shown}" if to_right else f"{shown}{padding}")
    return "  ".join(cells).rstrip()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
