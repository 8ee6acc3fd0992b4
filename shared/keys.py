"""API keys: a JSON file with their hashes, who they belong to, and what they may do.

A key is `csl_<id>_<secret>`. The file holds SHA-256 of the secret only; a slow hash would add
nothing, since the secret is 256 random bits and cannot be guessed at any speed.
"""

import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from msgspec import DecodeError, Meta, Struct, field, json

from shared.errors import InvalidInput, InvalidSetting
from shared.limits import Limit
from shared.messages import now
from shared.topology import MAX_PRIORITY

Scope = Literal["consultar", "acompanhar", "administrar"]
SCOPES: Final = get_args(Scope)
# Of a lookup that names none, and what a new key may ask for unless it is given more: those before
# the others are few, or they are before nobody.
USUAL_PRIORITY: Final = 5
_NOBODY: Final = hashlib.sha256(b"").hexdigest()


class ApiKey(Struct, kw_only=True):
    """One key, without its secret."""

    id: Annotated[str, Meta(pattern="^[a-z0-9]{8}$")]
    hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    tenant: Annotated[str, Meta(pattern="^[a-z0-9-]{1,40}$")]
    scopes: list[Scope]
    # Lookups this key may ask for in a window, and have under way at once.
    rate: str = "600/min"
    concurrency: Annotated[int, Meta(ge=1)] = 100
    # The highest priority it may ask for. Keys of before there was one may ask for any.
    highest: Annotated[int, Meta(ge=1, le=MAX_PRIORITY)] = field(
        name="priority", default=MAX_PRIORITY
    )
    created: str = field(default_factory=now)
    revoked: str | None = None

    @property
    def limit(self) -> Limit:
        return Limit.parse(f"key.{self.id}", self.rate)


class _File(Struct):
    keys: list[ApiKey] = []


class Keys:
    """The keys of a file, read again whenever it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = (0, 0)
        self._keys: dict[str, ApiKey] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the file if it changed.

        Raises:
            InvalidSetting: it cannot be read, or is no file of keys.
        """
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise InvalidSetting(
                    f"API_KEYS_FILE: others may write {self._path.name}, and so add keys; "
                    "chmod 600 it"
                )
            keys = _read(self._path)
        except OSError as error:
            raise InvalidSetting(f"API_KEYS_FILE: {error.strerror}; name a readable file") from None
        self._keys, self._stamp = {key.id: key for key in keys}, stamp

    def find(self, presented: str) -> ApiKey | None:
        """The key somebody presented, if it is one and was not revoked. In constant time."""
        _, _, rest = presented.partition("csl_")
        name, _, secret = rest.partition("_")
        key = self._keys.get(name)
        # A header is not always UTF-8; what is not is no key, and no error of ours.
        told = hashlib.sha256(secret.encode(errors="replace")).hexdigest()
        good = hmac.compare_digest(told, key.hash if key is not None else _NOBODY)
        return key if good and key is not None and key.revoked is None else None

    def current(self, name: str) -> ApiKey | None:
        """The key of this id, as long as it was not revoked."""
        key = self._keys.get(name)
        return key if key is not None and key.revoked is None else None

    def all(self) -> list[ApiKey]:
        """Every key, the revoked ones too."""
        return list(self._keys.values())


def add(
    path: Path,
    tenant: str,
    scopes: list[Scope],
    rate: str,
    concurrency: int,
    highest: int = USUAL_PRIORITY,
) -> str:
    """Make a key, write it down, and return it: this is the one time it can be seen.

    Raises:
        InvalidInput: names the field.
    """
    if not scopes or any(scope not in SCOPES for scope in scopes):
        raise InvalidInput("escopos", f"use {', '.join(SCOPES)}")
    try:
        Limit.parse("", rate)
    except ValueError as error:
        raise InvalidInput("rate", str(error)) from None
    if not 1 <= highest <= MAX_PRIORITY:
        raise InvalidInput("prioridade", f"use um número de 1 a {MAX_PRIORITY}")
    secret, name = secrets.token_urlsafe(32), secrets.token_hex(4)
    key = ApiKey(
        id=name,
        hash=hashlib.sha256(secret.encode()).hexdigest(),
        tenant=tenant,
        scopes=scopes,
        rate=rate,
        concurrency=concurrency,
        highest=highest,
    )
    try:
        json.decode(json.encode(key), type=ApiKey)
    except DecodeError:
        raise InvalidInput("tenant", "use letras minúsculas, dígitos e hífen, até 40") from None
    _write(path, [*(_read(path) if path.exists() else []), key])
    return f"csl_{name}_{secret}"


def revoke(path: Path, name: str) -> None:
    """Make a key useless, in every gateway within a second.

    Raises:
        InvalidInput: there is no such key.
    """
    keys = _read(path) if path.exists() else []
    found = [key for key in keys if key.id == name]
    if not found:
        raise InvalidInput("id", "não há chave com este id")
    found[0].revoked = found[0].revoked or now()
    _write(path, keys)


def _read(path: Path) -> list[ApiKey]:
    try:
        keys = json.decode(path.read_bytes(), type=_File).keys
        for key in keys:
            Limit.parse("", key.rate)
    except (DecodeError, ValueError) as error:
        raise InvalidSetting(
            f"API_KEYS_FILE: {error}; make it with `python -m consulta keys add`"
        ) from None
    return keys


def _write(path: Path, keys: list[ApiKey]) -> None:
    """Replace the file in one step, so that no gateway ever reads half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    with os.fdopen(handle, "wb") as file:
        file.write(json.format(json.encode(_File(keys)), indent=2) + b"\n")
    # Whoever could read it, the gateway above all, still can when somebody else has written it.
    with suppress(OSError):
        before = path.stat()
        os.chown(temporary, before.st_uid, before.st_gid)
        Path(temporary).chmod(stat.S_IMODE(before.st_mode))
    Path(temporary).replace(path)
