"""How long answers are fresh: whoever ends a lookup stores what it found."""

from dataclasses import dataclass

from shared.messages import Stage
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
