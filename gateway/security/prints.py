"""Keyed prints of what is kept to recognise a repetition: nothing can be read back from them.

A request is little more than an identifier, and there are only a billion of those: whoever reads a
plain hash of it in Redis tries them all in minutes. So the key of the installation is in it.
"""

import hmac
from typing import Final

import msgspec
from aiohttp import web

from shared.messages import Lookup
from shared.settings import Secret


class Prints:
    """Prints under a key of their own, derived from the secret of the installation."""

    def __init__(self, secret: Secret) -> None:
        self._key = hmac.digest(secret.reveal().encode(), b"idempotency", "sha256")

    def name(self, tenant: str, key: str) -> str:
        """Where a tenant's `Idempotency-Key` is kept: 64 hex digits."""
        return self._print(b"name", f"{tenant}\0{key}".encode())

    def request(self, asked: Lookup) -> str:
        """What tells one request from another under the same key: 64 hex digits."""
        return self._print(b"request", msgspec.json.encode(asked))

    def _print(self, what: bytes, text: bytes) -> str:
        return hmac.digest(self._key, b"%b\0%b" % (what, text), "sha256").hex()


PRINTS: Final = web.AppKey("prints", Prints)
