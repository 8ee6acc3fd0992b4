"""Settings from the environment, read once at start.

A settings class is a frozen dataclass whose fields are made by `setting`. The variable is the
field's name in capitals. Everything has a default that runs on one machine; a value that cannot
be used stops the service with one line: the variable, the value's fault, and the mend.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from shared.errors import InvalidSetting
from shared.limits import Limit

Value = TypeVar("Value")

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# As much as the HMACs it is the key of put out: to guess it is no way in.
SECRET_BYTES: Final = 32
# Only for processes started by hand on one machine; see `Common`.
_LOCAL_SECRET: Final = "only-for-one-machine"  # noqa: S105


class Secret:
    """A string that does not show itself in logs, tracebacks or a repr."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself; for the one call that needs it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"


def setting(parse: Callable[[str], Value], default: str, *, name: str = "") -> Value:
    """A field read from the environment: `parse` raises ValueError with the mend as its text."""
    return cast("Value", field(default=None, metadata={"from": (parse, default, name)}))


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Settings = TypeVar("Settings", bound=_Dataclass)


def load(into: type[Settings], environ: Mapping[str, str] | None = None) -> Settings:
    """Read a settings class from the environment.

    What is parsed by `secret` may stand in a file that `<NAME>_FILE` names, as container platforms
    mount it.

    Raises:
        InvalidSetting: names the variable, the fault and the mend.
    """
    environ = os.environ if environ is None else environ
    values = {}
    for entry in fields(into):
        parse, default, name = entry.metadata["from"]
        name = name or entry.name.upper()
        values[entry.name] = read(environ, name, parse, default)
    return into(**values)


def read(
    environ: Mapping[str, str], name: str, parse: Callable[[str], Value], default: str
) -> Value:
    """Read one variable. Empty counts as not set.

    Raises:
        InvalidSetting: as `load`.
    """
    text = environ.get(name) or default
    if parse is secret and (path := environ.get(f"{name}_FILE")):
        text = _kept(f"{name}_FILE", Path(path))
    try:
        return parse(text)
    except ValueError as error:
        # A URL, and what was meant as one, may hold a password.
        hidden = parse is secret or "://" in text or "@" in text
        shown = "the value" if hidden else repr(text[:60])
        raise InvalidSetting(f"{name}: {shown} cannot be used; {error}") from None


def _kept(variable: str, path: Path) -> str:
    """The secret a file holds. None in it is a mistake, and no wish for the default."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidSetting(f"{variable}: {error.strerror}; name a readable file") from None
    except UnicodeDecodeError:
        raise InvalidSetting(f"{variable}: the file is no text; write it in UTF-8") from None
    if not text:
        raise InvalidSetting(
            f"{variable}: the file is empty; write the secret into it, or unset {variable}"
        )
    return text


def secret(text: str) -> Secret:
    """Any text; never shown."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("write it in UTF-8") from None
    return Secret(text)


def port(text: str) -> int:
    """A TCP port, or 0 for any that is free."""
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError("give a port from 1 to 65535, or 0 for any free one")
    return int(text)


def positive(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("give a whole number above 0")
    return int(text)


def whole(text: str) -> int:
    """A whole number, or zero."""
    if not text.isdecimal():
        raise ValueError("give a whole number, or 0")
    return int(text)


def seconds(text: str) -> float:
    """A duration: `90`, `30s`, `15min`, `6h`, `7d`."""
    units = {"s": 1, "min": 60, "h": 3600, "d": 86400}
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = units.get(text[len(digits) :] or "s")
    try:
        number = float(digits)
    except ValueError:
        number = -1
    if unit is None or number <= 0:
        raise ValueError("write it like 90, 30s, 15min, 6h or 7d")
    return number * unit


def flag(text: str) -> bool:
    """on or off."""
    if text not in {"on", "off"}:
        raise ValueError("write on or off")
    return text == "on"


def limit(name: str) -> Callable[[str], Limit]:
    """A rate limit: `50/min`, `3/min,500/day`, `off`."""
    return lambda text: Limit.parse(name, text)


def url(*schemes: str) -> Callable[[str], Secret]:
    """A URL of one of these schemes. Secret, since it may hold a password.

    Of `unix` it names the path of a socket: `unix:///run/redis.sock`, `unix://:password@/run/…`.
    """
    forms = f"{schemes[0]}://host:port/"
    if "unix" in schemes:
        forms += " or unix:///path/of/redis.sock"

    def parse(text: str) -> Secret:
        try:
            parts = urlsplit(text)
        except ValueError:  # half of an IPv6 address; its words are English prose, and no mend
            parts = urlsplit("")
        # What stands where a host would is the beginning of a path that lacks its first slash.
        names = not parts.hostname and parts.path[1:] if parts.scheme == "unix" else parts.hostname
        if parts.scheme not in schemes or not names:
            raise ValueError(f"give a URL like {forms}")
        return Secret(text)

    return parse


def is_here(address: Secret) -> bool:
    """Whether a URL leads to this machine: to its loopback, or to a socket in its files."""
    parts = urlsplit(address.reveal())
    return parts.scheme == "unix" or parts.hostname in LOOPBACK


def _level(text: str) -> str:
    levels = ("DEBUG", "INFO", "WARNING", "ERROR")
    if text.upper() not in levels:
        raise ValueError(f"give one of {', '.join(levels)}")
    return text.upper()


@dataclass(frozen=True)
class Common:
    """What every service is told."""

    amqp_url: Secret = setting(url("amqp", "amqps"), "amqp://guest:guest@127.0.0.1:5672/")
    redis_url: Secret = setting(url("redis", "rediss", "unix"), "redis://127.0.0.1:6379/0")
    cache_secret: Secret = setting(secret, _LOCAL_SECRET)
    log_level: str = setting(_level, "INFO")
    # Probes and Prometheus reach a container from outside it; a process on a host need not.
    ops_host: str = setting(str, "127.0.0.1")

    def __post_init__(self) -> None:
        """Beyond this machine the secret has to be one, or tickets are forged and digests undone.

        Whoever listens to other machines, or works with servers on others, is one of many
        processes and so is told the secret; the default is for what is started by hand on one.
        """
        text, beyond = self.cache_secret.reveal(), self._beyond()
        size = len(text.encode())
        if beyond and size < SECRET_BYTES:
            fault = "not set" if text == _LOCAL_SECRET else f"has {size} bytes"
            raise InvalidSetting(
                f"CACHE_SECRET: {fault}, and {beyond} leads beyond this machine; set one of "
                f"{SECRET_BYTES} bytes or more, random and the same for every service "
                "(openssl rand -hex 32)"
            )

    def _beyond(self) -> str:
        """The first variable that leads beyond this machine; every `…_host` is listened on."""
        for entry in fields(self):
            if entry.name.endswith("_host") and getattr(self, entry.name) not in LOOPBACK:
                return entry.name.upper()
        urls = {"AMQP_URL": self.amqp_url, "REDIS_URL": self.redis_url}
        return next((name for name, url in urls.items() if not is_here(url)), "")
