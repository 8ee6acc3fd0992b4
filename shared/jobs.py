"""The names and schedules (cron, UTC) of the periodic jobs."""

from typing import Final

CLEANING: Final = ("limpeza_cache", "0 */6 * * *")
HEALTH: Final = ("verificacao_saude", "*/5 * * * *")
JOBS: Final = (CLEANING, HEALTH)
