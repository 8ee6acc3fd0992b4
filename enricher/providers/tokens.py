"""Access tokens of OAuth 2.0 client credentials, fetched when needed and kept in memory."""

import asyncio
import base64
from collections.abc import Callable
from typing import Annotated, Any, Final

import aiohttp
from msgspec import Meta, Struct

from enricher.failures import BadCredential, Malformed
from enricher.http import call
from enricher.providers.fields import amount

# A token is renewed so many seconds early: the call it opens takes some of them.
_MARGIN: Final = 60.0
# RFC 6749 only recommends `expires_in`.
_LIFETIME_WITHOUT_WORD: Final = 300.0


class _Granted(Struct):
    # What a header can hold; anything else would fail in the client, with the token in the error.
    access_token: Annotated[str, Meta(pattern=r"^[!-~]+$")]
    expires_in: Any = None


class Tokens:
    """The current token of one client.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        key: str,
        secret: str,
        clock: Callable[[], float],
    ) -> None:
        self._session = session
        self._url = url
        self._basic = base64.b64encode(f"{key}:{secret}".encode()).decode()
        self._clock = clock
        self._token = ""
        self._until = 0.0
        # Whoever comes while a token is fetched waits for that one.
        self._turn = asyncio.Lock()

    async def get(self, *, timeout: float) -> str:
        """A token that is good for some time yet.

        Raises:
            Failure: the token could not be had; `BadCredential` where the client is refused.
        """
        async with self._turn:
            if not self._token or self._clock() >= self._until:
                await self._renew(timeout)
            return self._token

    def drop(self, token: str) -> None:
        """It was refused; whoever comes next gets another."""
        if self._token == token:
            self._token = ""

    async def _renew(self, timeout: float) -> None:
        asked = self._clock()
        reply = await call(
            self._session,
            "POST",
            self._url,
            timeout=timeout,
            headers={"Authorization": f"Basic {self._basic}"},
            data={"grant_type": "client_credentials"},
        )
        if reply.status == 400:
            # `invalid_client` may be a 400 as well as a 401 (RFC 6749 section 5.2).
            raise BadCredential("token: status 400")
        if reply.status >= 300:
            raise Malformed(f"token: status {reply.status}")
        granted: _Granted = reply.read(_Granted)
        lifetime = amount(granted.expires_in) or _LIFETIME_WITHOUT_WORD
        self._token, self._until = granted.access_token, asked + lifetime - _MARGIN
