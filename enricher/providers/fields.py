"""Single fields of a provider's answer, read with tolerance.

Providers add fields, leave them out and change their types. None of that may lose a record that
is otherwise good, so every reader takes anything and gives None for what it cannot use.
"""

import datetime
import re
from typing import Any, Final

Fields = dict[str, Any]

_LARGEST: Final = 10**18
_ISO: Final = "%Y-%m-%d"
_ISO_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PLAIN: Final = re.compile(r"[0-9]{1,18}([.,][0-9]{1,2})?")
_THOUSANDS: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{3}){1,5}(,[0-9]{1,2})?")


def text(value: Any) -> str | None:
    """A string without the padding of fixed-width sources; "" is None."""
    if isinstance(value, int) and not isinstance(value, bool):
        # Python refuses to print the longest of numbers.
        value = str(value) if abs(value) < _LARGEST else ""
    return " ".join(value.split()) or None if isinstance(value, str) else None


def words(value: Any) -> str | None:
    """The sources' "ATIVA" and "Ativa" are one word: only the first letter is a capital."""
    found = text(value)
    return found.capitalize() if found else None


def digits(value: Any, length: int = 0) -> str | None:
    """The digits alone, exactly `length` of them if given.

    One leading zero that was lost in a number is put back; CEP and CNAE codes begin with no more.
    """
    found = re.sub(r"[^0-9]", "", text(value) or "")
    if length and len(found) == length - 1:
        found = f"0{found}"
    return found if found.strip("0") and len(found) == (length or len(found)) else None


def date(value: Any, form: str = _ISO) -> str | None:
    """A date as YYYY-MM-DD; a time behind it is left out."""
    found = (text(value) or "")[:10]
    try:
        if form == _ISO and _ISO_DATE.fullmatch(found):
            # Mostly so, and ten times as quick as by a form.
            return datetime.date.fromisoformat(found).isoformat()
        return datetime.datetime.strptime(found, form).date().isoformat()  # noqa: DTZ007 - no zone
    except ValueError:
        return None


def amount(value: Any) -> float | None:
    """Reais, from a number, "1000.00", "1000,00" or "1.000,00"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < _LARGEST else None
    found = text(value) or ""
    if _THOUSANDS.fullmatch(found):
        found = found.replace(".", "")
    return float(found.replace(",", ".")) if _PLAIN.fullmatch(found) else None


def yes(value: Any) -> bool | None:
    """A truth value, or "S" or "N"."""
    return value if isinstance(value, bool) else {"S": True, "N": False}.get(text(value) or "")


def objects(value: Any) -> list[Fields]:
    """The objects of a list."""
    return [entry for entry in items(value) if isinstance(entry, dict)]


def items(value: Any) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def inner(value: Any) -> Fields:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}
