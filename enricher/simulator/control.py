"""What `/_control` holds: each provider's settings, its limit's window, and the log of calls."""

import asyncio
import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from enricher.simulator.wire import Provider
from shared.errors import InvalidInput

Fault = Literal[
    "none", "403", "429", "500", "503", "hang", "malformed", "html", "false_404", "reset"
]
# Ten minutes: longer than any client waits.
MAX_DELAY_MS: Final = 600_000
LOG_LENGTH: Final = 200_000
WINDOW: Final = 60.0


class Settings(msgspec.Struct):
    """How a provider behaves.

    An answer takes `latency_ms` and up to `jitter_ms` more; while the provider is `held`, it waits
    until it no longer is. `fault` strikes `fault_rate` of the calls. `retry_after` (seconds or an
    HTTP date) goes with each 429 and 503; None sends no such header. Beyond `limit_per_minute`
    calls in any minute, the edge answers 429.
    """

    latency_ms: int
    jitter_ms: int = 0
    fault: Fault = "none"
    fault_rate: float = 1.0
    retry_after: int | str | None = None
    limit_per_minute: int | None = None
    held: bool = False


_DELAY: Final = Annotated[int, Meta(ge=0, le=MAX_DELAY_MS)]
# The type of each field, and what to say when a value is not of it.
_FIELDS: Final[dict[str, tuple[Any, str]]] = {
    "latency_ms": (_DELAY, f"deve ser um inteiro de 0 a {MAX_DELAY_MS}"),
    "jitter_ms": (_DELAY, f"deve ser um inteiro de 0 a {MAX_DELAY_MS}"),
    "fault": (
        Fault,
        "deve ser none, 403, 429, 500, 503, hang, malformed, html, false_404 ou reset",
    ),
    "fault_rate": (Annotated[float, Meta(ge=0, le=1)], "deve ser um número de 0 a 1"),
    "retry_after": (
        Annotated[int, Meta(ge=0, le=86_400)]
        | Annotated[str, Meta(pattern=r"\A[ -~]{1,64}\Z")]
        | None,
        "deve ser segundos de 0 a 86400, uma data HTTP ou null",
    ),
    "limit_per_minute": (
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        "deve ser um inteiro de 1 a 1000000, ou null para nenhum limite",
    ),
    "held": (bool, "deve ser true ou false"),
}


class Entry(msgspec.Struct):
    """A call that came. `time` is its arrival in Unix seconds, taken before anything else.

    `status` is None while there is no answer, and stays so after a hang, a reset, or a client
    that left. `endpoint` names the stage or the path, never an identifier; `subject` is the digest
    of whom the call was about, so that a second call about the same one shows.
    """

    provider: str
    time: float
    status: int | None
    method: str
    endpoint: str
    subject: str = ""


class Control:
    """Settings, limits, faults and the log."""

    def __init__(self, providers: Iterable[Provider], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._providers = {provider.name: provider for provider in providers}
        self.log: deque[Entry] = deque(maxlen=LOG_LENGTH)
        self._let_go = {name: asyncio.Event() for name in self._providers}
        self.reset()

    def reset(self) -> None:
        """As it was at the start, with an empty log and the same faults to come."""
        self.log.clear()
        self.settings: dict[str, Settings] = {}
        self._windows: dict[str, deque[float]] = {}
        self._dice: dict[str, random.Random] = {}
        for name, provider in self._providers.items():
            provider.forget()
            self.settings[name] = Settings(provider.latency_ms)
            self._let_go[name].set()
            # One for each, so that concurrent calls to another provider change nothing here.
            self._dice[name] = random.Random(name)  # noqa: S311
        self._jitter = random.Random(0)  # noqa: S311

    def change(self, provider: str, fields: dict[str, Any]) -> Settings:
        """Set the fields that are given, all or none.

        Raises:
            InvalidInput: names the field.
        """
        checked = {name: _checked(name, value) for name, value in fields.items()}
        settings = self.settings[provider]
        for name, value in checked.items():
            setattr(settings, name, value)
        if "limit_per_minute" in checked:
            self._windows[provider] = deque(maxlen=settings.limit_per_minute)
        if settings.held:
            self._let_go[provider].clear()
        else:
            self._let_go[provider].set()
        return settings

    def arrived(self, provider: str, method: str, endpoint: str) -> Entry:
        """Log a call."""
        entry = Entry(provider, self._clock(), None, method, endpoint)
        self.log.append(entry)
        return entry

    def over_limit(self, provider: str) -> bool:
        """Whether this call is one too many; if not, it counts.

        Refused calls do not count, so the limit holds for answers in any window of a minute.
        """
        limit = self.settings[provider].limit_per_minute
        if limit is None:
            return False
        window, now = self._windows[provider], self._clock()
        if len(window) == limit and now - window[0] < WINDOW:
            return True
        window.append(now)
        return False

    def strike(self, provider: str) -> Fault:
        """The fault of this call."""
        settings = self.settings[provider]
        if settings.fault == "none" or self._dice[provider].random() >= settings.fault_rate:
            return "none"
        return settings.fault

    async def let_go(self, provider: str) -> None:
        """Wait while the provider is held."""
        await self._let_go[provider].wait()

    def delay(self, provider: str) -> float:
        """How long this call's answer takes, in seconds."""
        settings = self.settings[provider]
        jitter = self._jitter.random() * settings.jitter_ms if settings.jitter_ms else 0.0
        return (settings.latency_ms + jitter) / 1000


def digest(identifier: str) -> str:
    """How the log names a subject; nothing for none."""
    return identifier and hashlib.blake2b(identifier.encode(), digest_size=8).hexdigest()


def _checked(name: str, value: Any) -> Any:
    if name not in _FIELDS:
        raise InvalidInput(name[:40], "não existe; os campos são " + ", ".join(_FIELDS))
    kind, mend = _FIELDS[name]
    if name == "fault" and type(value) is int:
        value = str(value)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise InvalidInput(name, mend) from None
