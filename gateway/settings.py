"""Settings of the gateway."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.errors import InvalidSetting
from shared.service.settings import Service
from shared.settings import LOOPBACK, flag, port, positive, setting, whole


def origins(text: str) -> frozenset[str]:
    """Origins of pages that may call, with commas between."""
    found = frozenset(filter(None, (part.strip().rstrip("/") for part in text.split(","))))
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}":
            raise ValueError("give origins like https://app.example.com, with commas between")
    return found


@dataclass(frozen=True)
class Settings(Service):
    """Where it listens and whom it lets in, beside what every service is told."""

    gateway_host: str = setting(str, "127.0.0.1")
    gateway_port: int = setting(port, "8080")
    gateway_ops_port: int = setting(port, "9101")
    # Several gateways on one port of one machine, each taking its share of the connections.
    gateway_share_port: bool = setting(flag, "off")
    api_keys_file: Path | None = setting(lambda text: Path(text) if text else None, "")
    cors_origins: frozenset[str] = setting(origins, "")
    # Memory for answers that stand ready; 0 has every hit read from Redis.
    near_cache_bytes: int = setting(whole, str(64 * 1024 * 1024))
    max_streams: int = setting(positive, "20000")
    max_streams_per_client: int = setting(positive, "1000")

    def __post_init__(self) -> None:
        """Without keys anybody who can reach it could look up anybody."""
        if self.api_keys_file is None and self.gateway_host not in LOOPBACK:
            raise InvalidSetting(
                f"GATEWAY_HOST: {self.gateway_host!r} needs API keys; set API_KEYS_FILE "
                "(make one with `python -m consulta keys add`), or listen on 127.0.0.1"
            )
        super().__post_init__()

    def _beyond(self) -> str:
        """Keys are for others than this machine: a proxy on it brings them here."""
        return super()._beyond() or ("API_KEYS_FILE" if self.api_keys_file is not None else "")
