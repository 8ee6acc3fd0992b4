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

    Secrets may stand in a file that `<NAME>_FILE` names, as container platforms mount them.

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
        try:
            text = Path(path).read_text().strip()
        except OSError as error:
            raise InvalidSetting(f"{name}_FILE: {error.strerror}; name a readable file") from None
    try:
        return parse(text)
    except ValueError as error:
        shown = "the value" if parse is secret or "://" in text else repr(text[:60])
        raise InvalidSetting(f"{name}: {shown} cannot be used; {error}") from None


def secret(text: str) -> Secret:
    """Anything; never shown."""
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
        parts = urlsplit(text)
        # What stands where a host would is the beginning of a path that lacks its first slash.
        names = not parts.hostname and parts.path[1:] if parts.scheme == "unix" else parts.hostname
        if parts.scheme not in schemes or not names:
            raise ValueError(f"give a URL like {forms}")
        return Secret(text)

    return parse


def host_of(address: Secret) -> str:
    """The host a URL names; a Unix socket is always this machine's."""
    parts = urlsplit(address.reveal())
    return "localhost" if parts.scheme == "unix" else parts.hostname or ""


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
        """A key that everybody can read in the source protects nothing beyond this machine."""
        if self.cache_secret.reveal() == _LOCAL_SECRET and host_of(self.redis_url) not in LOOPBACK:
            raise InvalidSetting(
                "CACHE_SECRET: not set, and REDIS_URL is not on this machine; "
                "set it to a long random string, the same for every service"
            )
