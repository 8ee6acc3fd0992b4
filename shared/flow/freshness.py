"""How long answers are fresh: whoever ends a lookup stores what it found."""

from dataclasses import dataclass

from shared.cache import Entries
from shared.messages import Event, Stage
from shared.results import to_cache
from shared.settings import seconds, setting


@dataclass(frozen=True)
class Freshness:
    """Seconds an answer of each stage is fresh. Every service reads them."""

    ttl_telegram: float = setting(seconds, "7d")
    ttl_endereco: float = setting(seconds, "1d")
    ttl_telefone: float = setting(seconds, "7d")
    ttl_cadastro: float = setting(seconds, "7d")
    # An authoritative "not found" may be wrong tomorrow.
    ttl_not_found: float = setting(seconds, "1h")

    @property
    def ttl(self) -> dict[Stage, float]:
        """Seconds an answer is fresh, by stage."""
        return {
            "telegram": self.ttl_telegram,
            "endereco": self.ttl_endereco,
            "telefone": self.ttl_telefone,
            "cadastro": self.ttl_cadastro,
        }

    def entries(self, *events: Event) -> Entries:
        """What the cache learns of these outcomes of stages."""
        return to_cache(events, self.ttl, self.ttl_not_found)
