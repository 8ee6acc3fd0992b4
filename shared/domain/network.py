"""A server that does not answer, in words: where it was looked for, and what came of it."""

import socket
import ssl
from urllib.parse import urlsplit

_PORTS = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}


def place(url: str) -> str:
    """`host:port` of a URL, or a socket's path; never the user or the password."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or _PORTS.get(parts.scheme, '')}"


def why(error: BaseException) -> str:
    """Why a connection did not come about. Clients wrap the socket's error: it is looked for.

    Of an error nobody knows only the class, since its text may hold a URL.
    """
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ConnectionRefusedError():
                return "connection refused"
            case socket.gaierror():
                return "no such host name"
            case ssl.SSLError():
                return f"TLS failed: {getattr(cause, 'reason', None) or 'SSLError'}"
            case FileNotFoundError() | PermissionError():
                return cause.strerror or type(cause).__name__
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, ConnectionError):
        return "the connection was closed"
    return type(error).__name__
