"""Settings of the cache_service."""

from dataclasses import dataclass

from shared.jobs import JOBS
from shared.service.settings import Service
from shared.settings import port, setting


def job_names(text: str) -> tuple[str, ...]:
    """Names of periodic jobs."""
    names = tuple(filter(None, (part.strip() for part in text.split(","))))
    known = [name for name, _ in JOBS]
    if any(name not in known for name in names):
        raise ValueError(f"the jobs are {', '.join(known)}")
    return names


@dataclass(frozen=True)
class Settings(Service):
    """What every service is told, and the jobs to run at start."""

    cache_service_ops_port: int = setting(port, "9102")
    # Periodic jobs to run once at start, beside their schedule: names with commas between.
    run_at_start: tuple[str, ...] = setting(job_names, "")
