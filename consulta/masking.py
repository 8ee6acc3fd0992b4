"""Show a message to a person without the personal data in it.

A dead letter may be anything at all, an identifier in any field included. So what is shown is
chosen, not what is hidden: fields of ours whose value looks like what belongs there. The rest is
stars.
"""

import re
import unicodedata
from typing import Any, Final

import msgspec

HIDDEN: Final = "***"
# Fields of our own messages that hold no personal data.
_OPEN: Final = frozenset({
    "task_id", "flight", "order", "stage", "kind", "input_kind", "digest", "slip", "priority",
    "refresh", "tipo", "origem", "prioridade", "atraso", "prazo", "atualizar", "etapas",
})  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z_]{1,40}")
# A word, or an id we made: neither can hold eight digits of somebody's number.
_WORD: Final = re.compile(r"[A-Za-z_.-]{1,60}")
_ID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
_LARGEST: Final = 10**7
# As identifiers are written: seven or more digits, whatever separates them.
_DIGITS: Final = re.compile(r"\d(?:[.\-/ ()]*\d){6,}")
_DEEPEST: Final = 8


def masked(body: bytes) -> str:
    """A body as indented JSON, only what is known to be harmless in it shown."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"({len(body)} bytes que não são JSON)"
    return _indented(_chosen(content, "", 0))


def revealed(body: bytes) -> str:
    """A body as it is, as far as a terminal can show it."""
    try:
        return plain(_indented(msgspec.json.decode(body)), lines=True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return plain(body.decode(errors="replace"), lines=True)


def without_numbers(text: str) -> str:
    """A reason or a traceback without anything as long as an identifier."""
    return _DIGITS.sub(HIDDEN, text)


def plain(text: str, *, lines: bool = False) -> str:
    """Text that cannot command the terminal it is printed on.

    Args:
        lines: leave line breaks as they are.
    """
    kept = "\n" if lines else ""
    return "".join(
        char if char in kept or not unicodedata.category(char).startswith("C") else "�"
        for char in text
    )


def _chosen(value: Any, name: str, depth: int) -> Any:
    if depth > _DEEPEST:
        return HIDDEN
    if isinstance(value, dict):
        return {
            key if _NAME.fullmatch(key) else HIDDEN: _chosen(inner, key, depth + 1)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_chosen(inner, name, depth + 1) for inner in value[:20]]
    if value is None or isinstance(value, bool):
        return value
    return value if name in _OPEN and _is_harmless(value) else HIDDEN


def _is_harmless(value: object) -> bool:
    if isinstance(value, str):
        return bool(_WORD.fullmatch(value) or _ID.fullmatch(value))
    return isinstance(value, int | float) and abs(value) < _LARGEST


def _indented(content: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
