"""Settings of the cache_service."""

from dataclasses import dataclass

from shared.jobs import JOBS
from shared.messages import Stage
from shared.orders import Rates
from shared.settings import Common, port, seconds, setting


def job_names(text: str) -> tuple[str, ...]:
    """Names of periodic jobs."""
    names = tuple(filter(None, (part.strip() for part in text.split(","))))
    known = [name for name, _ in JOBS]
    if any(name not in known for name in names):
        raise ValueError(f"the jobs are {', '.join(known)}")
    return names


@dataclass(frozen=True)
class Settings(Rates, Common):
    """How long answers are fresh, beside what every service is told."""

    cache_service_ops_port: int = setting(port, "9102")
    ttl_telegram: float = setting(seconds, "7d")
    ttl_endereco: float = setting(seconds, "1d")
    ttl_telefone: float = setting(seconds, "7d")
    ttl_cadastro: float = setting(seconds, "7d")
    # An authoritative "not found" may be wrong tomorrow.
    ttl_not_found: float = setting(seconds, "1h")

    # Periodic jobs to run once at start, beside their schedule: names with commas between.
    run_at_start: tuple[str, ...] = setting(job_names, "")

    @property
    def ttl(self) -> dict[Stage, float]:
        """Seconds an answer is fresh, by stage."""
        return {
            "telegram": self.ttl_telegram,
            "endereco": self.ttl_endereco,
            "telefone": self.ttl_telefone,
            "cadastro": self.ttl_cadastro,
        }
