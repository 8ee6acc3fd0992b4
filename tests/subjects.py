"""Identifiers to look up, as many different valid ones as a test wants."""

from collections.abc import Iterator
from typing import Final

from shared.identifiers import Kind

# What a mixed load is made of, in turn: people are asked for most.
_MIX: Final[tuple[Kind, ...]] = ("cpf", "cnpj", "cpf", "cep", "telefone")


def cpfs(number: int, start: int) -> list[str]:
    """Valid CPFs, counted up from a nine-digit start."""
    return [cpf(base) for base in range(start, start + number)]


def cpf(base: int) -> str:
    """The CPF of a nine-digit base."""
    digits = f"{base:09d}"
    for longest in (10, 11):
        digits += _check_digit(digits, range(longest, 1, -1))
    return digits


def cnpj(base: int) -> str:
    """The CNPJ of a head office with an eight-digit base."""
    digits = f"{base:08d}0001"
    for weights in ((5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)):
        digits += _check_digit(digits, weights)
    return digits


def mixed(number: int, start: int) -> Iterator[tuple[Kind, str]]:
    """A load of every kind. Starts a million apart, 40 of them, give nothing twice."""
    for place in range(number):
        base = start + place
        kind = _MIX[place % len(_MIX)]
        match kind:
            case "cpf":
                yield kind, cpf(base)
            case "cnpj":
                yield kind, cnpj(base % 10**8)
            case "cep":
                # Below 01000-000 there is none, and those that end in 999 have no address.
                yield kind, f"{1_000_000 + base % 40_000_000 // 990 * 1000 + base % 990:08d}"
            case "telefone":
                yield kind, f"+55{11 + base // 10**7 % 9}{980_000_000 + base % 10**7}"


def _check_digit(digits: str, weights: range | tuple[int, ...]) -> str:
    total = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
    return str(total * 10 % 11 % 10)
