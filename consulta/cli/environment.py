"""Where the gateway and the broker are, from the environment."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

from consulta.cli.parser import UsageError
from consulta.dead_letters import DeadLetters
from consulta.errors import Unreachable
from consulta.http import HttpClient
from shared import properties
from shared.errors import InvalidSetting
from shared.settings import Secret, read, secret, url

Result = TypeVar("Result")

_DEFAULTS: Final = {
    "CONSULTA_URL": "http://127.0.0.1:8080",
    "CONSULTA_KEY": "",
    "AMQP_URL": "amqp://guest:guest@127.0.0.1:5672/",
}
_MENDS: Final = {
    "CONSULTA_URL": "use um endereço como http://host:porta/",
    "CONSULTA_KEY": "use a chave de API como a recebeu, numa só linha",
    "CONSULTA_KEY_FILE": "aponte para um arquivo legível que a contenha",
    "AMQP_URL": "use um endereço como amqp://usuario:senha@host:porta/",
    "AMQP_URL_FILE": "aponte para um arquivo legível que o contenha",
}


def with_gateway(work: Callable[[HttpClient], Awaitable[Result]]) -> Result:
    """Run something with a client of the gateway.

    Raises:
        UsageError: a variable that cannot be used.
        ClientError: as the client does; Unreachable names the place.
    """
    address = _read("CONSULTA_URL", url("http", "https")).reveal()
    key = _read("CONSULTA_KEY", secret).reveal().strip()
    if not key.isascii() or not key.isprintable():
        raise _wrong("CONSULTA_KEY")

    async def run() -> Result:
        async with HttpClient(address, key or None) as client:
            return await work(client)

    try:
        return asyncio.run(run())
    except Unreachable as error:
        # Without user and password, should the address hold any.
        place = urlsplit(address).netloc.rpartition("@")[2]
        raise Unreachable(f"{error} ({place}, de CONSULTA_URL)") from None


def with_dead_letters(work: Callable[[DeadLetters], Awaitable[Result]]) -> Result:
    """Run something with the dead letters of the broker; raises like `with_gateway`."""
    address = _read("AMQP_URL", url("amqp", "amqps")).reveal()
    # Among the dead are messages that pamqp cannot read by itself.
    properties.install()

    async def run() -> Result:
        async with DeadLetters(address) as dead:
            return await work(dead)

    try:
        return asyncio.run(run())
    except Unreachable as error:
        place = urlsplit(address).netloc.rpartition("@")[2]
        raise Unreachable(f"{error} ({place}, de AMQP_URL)") from None


def _read(name: str, parse: Callable[[str], Secret]) -> Secret:
    try:
        if parse is not secret and (path := f"{name}_FILE") in os.environ:
            return parse(read(os.environ, name, secret, _DEFAULTS[name]).reveal())
        return read(os.environ, name, parse, _DEFAULTS[name])
    except InvalidSetting as error:
        raise _wrong(str(error).partition(":")[0]) from None
    except ValueError:
        raise _wrong(path) from None


def _wrong(name: str) -> UsageError:
    return UsageError(f"{name} não pode ser usada; {_MENDS[name]}")
