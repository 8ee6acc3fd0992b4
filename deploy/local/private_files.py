"""Small files that only their owner may read."""

import os
import secrets
from pathlib import Path


def kept_secret(path: Path) -> str:
    """The secret kept in ``path``; made there at the first call, or after one that died of it."""
    if not path.exists() or not path.read_text():
        write_private(path, secrets.token_hex(24))
    return path.read_text()


def write_private(path: Path, text: str) -> None:
    """Write ``path`` with mode 600, also where it existed with another."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(text)
