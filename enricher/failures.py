"""Why a provider gave no answer, kept apart, since each class is treated in its own way.

Failure
├── NotFound        it has no such record; `confirmed` unless its outages look the same
├── Rejected        it refuses this very value (400, 422): asking again cannot help
├── Blocked         it may not tell (a minor's data): final, no other provider is asked
├── NotConfigured   its operator gave no address or key
├── StaleCredential the token it was asked with is good no more: to be asked again at once, once
├── BadCredential   401 or 403: every call would fail alike until the key is mended
├── Challenged      an edge answered in its place with a web page; every call would fail alike
├── Outrun          another provider, asked beside it because it was slow, was faster
├── CutShort        the lookup's time was up before the provider's own: that proves nothing
├── NotCalled       it was not asked, which says nothing about it
│   ├── CircuitOpen     nor will it be for some time
│   ├── OutOfTime       the lookup's time was up before the call could be made
│   ├── AskedBefore     it bills, and a process that died may have asked it: its answer is lost
│   └── OutOfQuota      its credential's limit is used up, and nobody waits for it, or not so long
├── RateLimited     429: it says when to come back
└── Outage          the provider's fault, and the one class that feeds the breaker
    ├── ServerError     5xx
    │   └── Unavailable     503 that says when to come back
    ├── TimedOut        no answer in its own time; the call may have been carried out, and billed
    ├── Disconnected    refused, reset or cut off
    └── Malformed       an answer that is not what its format promises
"""

from typing import Any, ClassVar, Final

from shared.errors import ConsultaError


class Failure(ConsultaError):
    """A call that brought no record. `reason` is a bounded word for metrics."""

    reason: ClassVar[str] = "failure"
    # Whether it settles the matter: no other provider is asked.
    final = False


class NotFound(Failure):
    reason = "not_found"

    def __init__(self, *, confirmed: bool = True) -> None:
        super().__init__("not found")
        self.confirmed = self.final = confirmed


class Rejected(Failure):
    reason = "rejected"


class Blocked(Failure):
    reason = "blocked"
    final = True


class NotConfigured(Failure):
    reason = "not_configured"


class StaleCredential(Failure):
    reason = "stale_credential"


class BadCredential(Failure):
    reason = "credential"


class Challenged(Failure):
    reason = "challenged"


class NotCalled(Failure):
    reason = "not_called"


class Outrun(Failure):
    reason = "outrun"


class CutShort(Failure):
    reason = "cut_short"
    final = True


class OutOfTime(NotCalled):
    reason = "deadline"
    final = True


class OutOfQuota(NotCalled):
    reason = "quota"


class AskedBefore(NotCalled):
    reason = "asked_before"


class CircuitOpen(NotCalled):
    """The provider is not asked at present; `retry_in` seconds from now it may be."""

    reason = "circuit_open"

    def __init__(self, retry_in: float, cause: str) -> None:
        super().__init__(f"circuit open: {cause}")
        self.retry_in = retry_in
        self.cause = cause


class RateLimited(Failure):
    """`retry_after` seconds, as the provider said, or its usual pause."""

    reason = "rate_limited"

    def __init__(self, retry_after: float) -> None:
        super().__init__("rate limited")
        self.retry_after = retry_after


class Outage(Failure):
    reason = "outage"


class ServerError(Outage):
    reason = "server_error"


class Unavailable(ServerError):
    """`retry_after` seconds, as the provider said: no call is made before."""

    reason = "unavailable"

    def __init__(self, retry_after: float) -> None:
        super().__init__("status 503")
        self.retry_after = retry_after


class TimedOut(Outage):
    reason = "timeout"


class Disconnected(Outage):
    reason = "disconnected"


class Malformed(Outage):
    reason = "malformed"


# Why a circuit is open because its provider said when to come back.
PAUSES: Final = frozenset({RateLimited.reason, Unavailable.reason})

# Calls that got no answer: nobody knows whether, or when, they arrived.
NO_ANSWER: Final = (CutShort, TimedOut, Disconnected)


def is_outage(outcome: Any) -> bool | None:
    """What a call's outcome, an answer or an error, proves of its provider; None if nothing.

    Only a call that failed by itself, or had all the time a provider is given, says that it fails:
    else impatient askers would open the circuit of a healthy one for everybody.
    "There is none" from a provider whose word that is, and "I may not tell", are answers of one
    that works. A refused value, key or pace says nothing either way.
    """
    if isinstance(outcome, Outage):
        return True
    if isinstance(outcome, NotFound):
        return False if outcome.confirmed else None
    return None if isinstance(outcome, Exception) and not isinstance(outcome, Blocked) else False


def recalled(reason: str) -> Failure:
    """The failure of an earlier try by its word: as much of it as weighs in the outcome."""
    match reason:
        case NotFound.reason:
            return NotFound(confirmed=False)
        case RateLimited.reason:
            return RateLimited(0)
        case OutOfQuota.reason:
            return OutOfQuota(reason)
        case _:
            return Failure(reason)
