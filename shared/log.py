"""Logs: one JSON object a line, on standard error.

What may be logged is decided where it is logged; nothing of a request's body ever is.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Final

from aiohttp.http import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from msgspec import json

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as JSON, with whatever was passed as `extra`."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _PLAIN},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.encode(line, enc_hook=str).decode()


def configure(service: str, level: str) -> None:
    """Log as this service from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("aiohttp.server").addFilter(_without_request)
    # They tell each reconnection at WARNING or below, and the link has told it already.
    for noisy in ("aiormq", "aio_pika"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def _without_request(record: logging.LogRecord) -> bool:
    """What is no HTTP is repeated in its error, and may hold a key or an identifier."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError | RequestPayloadError):
        record.exc_info, record.levelno, record.levelname = None, logging.INFO, "INFO"
        record.msg, record.args = "not HTTP: %s", (type(error).__name__,)
    return True
