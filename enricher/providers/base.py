"""What a provider is to the enricher: a file in this folder with one subclass of `Provider`.

A new provider is a new file here and a recorded example in `tests/contract/examples/<name>/`;
the registry finds it, its variables are `PROVIDER_<NAME>_…`, its breaker has its name. One that is
called also has its simulation in `enricher/simulator/` and its variables in `.env.example`,
`deploy/compose.yaml` and `deploy/simulator.env`; tests name what is missing.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

import aiohttp

from shared.errors import InvalidSetting
from shared.identifiers import Kind
from shared.limits import Limit
from shared.messages import Stage
from shared.records import Record
from shared.settings import LOOPBACK, Secret


@dataclass(frozen=True)
class Query:
    """What to look up. `value` is normalised; it is in no repr, so that no log can show it."""

    stage: Stage
    kind: Kind
    value: str
    request_id: str
    purpose: str | None = None
    legal_basis: str | None = None

    def __repr__(self) -> str:
        return f"Query({self.stage}, {self.kind})"


@dataclass(frozen=True)
class Answer:
    """A record, and the provider's own word for the date (YYYY-MM-DD) its data is of."""

    record: Record
    source_date: str | None = None


@dataclass(frozen=True)
class Access:
    """Where a provider is, what opens it, and how often: `PROVIDER_<NAME>_URL`, `_KEY`, `_RATE`."""

    url: str
    key: Secret
    rate: Limit = Limit("")


class Provider(ABC):
    """One provider API. Adapters are tolerant: fields may be missing or new."""

    # The word in metrics, in `origem` and in variables; [a-z_]+.
    name: ClassVar[str]
    # The circuit's name in /api/circuitos, where it differs.
    circuit: ClassVar[str] = ""
    # Where it is unless configured; "" means off until it is.
    url: ClassVar[str] = ""
    needs_key: ClassVar[bool] = False
    # (stage, kind of input) -> place in the default chain, lowest first.
    serves: ClassVar[dict[tuple[Stage, Kind], int]]
    # Bills each call, so a call that may have been carried out is not made again.
    billed: ClassVar[bool] = False
    # Seconds one call may take, connecting included.
    timeout: ClassVar[float] = 10.0

    def __init__(self, access: Access, session: aiohttp.ClientSession) -> None:
        """Take what the calls need.

        Raises:
            InvalidSetting: a key, and the personal data it opens, would go over the network bare.
        """
        parts = urlsplit(access.url)
        if self.needs_key and parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise InvalidSetting(
                f"PROVIDER_{self.name.upper()}_URL: http:// would send the key and personal data "
                "in the clear; give an https:// URL, or one on this machine"
            )
        self._base = access.url.rstrip("/")
        self._key = access.key
        self._session = session
        self.rate = access.rate

    @property
    def address(self) -> str:
        """The base URL; empty for a provider that is off or needs none."""
        return self._base

    @property
    def is_configured(self) -> bool:
        return bool(self._base) and (bool(self._key) or not self.needs_key)

    @abstractmethod
    async def fetch(self, query: Query) -> Answer:
        """Make one call.

        Raises:
            Failure: one of `enricher.failures`, always; nothing of aiohttp or msgspec. A provider
                that has to be asked twice raises StaleCredential in between: each call to it takes
                a permit.
        """
