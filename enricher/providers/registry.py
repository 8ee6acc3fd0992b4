"""Which providers there are, and in which order a stage asks them.

A provider is found by being in this folder. Its address and key are the variables
`PROVIDER_<NAME>_URL` (`off` for one that must not be asked), `PROVIDER_<NAME>_KEY` and
`PROVIDER_<NAME>_KEY_FILE`, where <NAME> is its name in capitals. `PROVIDER_<NAME>_RATE` is the
limit of that credential, over all processes that use it: `3/min,500/day`, or `off`.
"""

import hashlib
import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from types import ModuleType

import aiohttp

import enricher.providers
from enricher.providers.base import Access, Provider
from shared.errors import InvalidSetting
from shared.identifiers import Kind
from shared.messages import Stage
from shared.settings import Secret, limit, read, secret
from shared.settings import url as web_address


def build(environ: Mapping[str, str], session: aiohttp.ClientSession) -> dict[str, Provider]:
    """Every provider by name, the ones that are off included.

    Raises:
        InvalidSetting: names the variable.
    """
    return {
        name: provider(_access(environ, provider), session)
        for name, provider in found(modules()).items()
    }


def chain(providers: Mapping[str, Provider], stage: Stage, kind: Kind) -> list[Provider]:
    """The providers a stage asks for this kind of input, first to last."""
    able = [provider for provider in providers.values() if (stage, kind) in provider.serves]
    return sorted(able, key=lambda provider: provider.serves[stage, kind])


def found(modules: Iterable[ModuleType]) -> dict[str, type[Provider]]:
    """The providers these modules define, by name.

    Raises:
        ValueError: two of them have one name, and would share their variables and their circuit.
    """
    by_name: dict[str, type[Provider]] = {}
    for module in modules:
        for _, provider in inspect.getmembers(module, _is_provider):
            # Modules import each other's classes.
            if provider.__module__ != module.__name__:
                continue
            other = by_name.setdefault(provider.name, provider)
            if other is not provider:
                raise ValueError(
                    f"{provider.__module__}.{provider.__qualname__} and "
                    f"{other.__module__}.{other.__qualname__} are both named {provider.name!r}"
                )
    return by_name


def _is_provider(thing: object) -> bool:
    return inspect.isclass(thing) and issubclass(thing, Provider) and not inspect.isabstract(thing)


def modules() -> list[ModuleType]:
    """The modules of this folder."""
    package = enricher.providers
    return [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
    ]


def _access(environ: Mapping[str, str], provider: type[Provider]) -> Access:
    prefix = f"PROVIDER_{provider.name.upper()}"
    address = read(environ, f"{prefix}_URL", _address, provider.url)
    key = read(environ, f"{prefix}_KEY", secret, "")
    # A stray line end would fail each call, in the HTTP client and with the key in the error.
    if not key.reveal().isascii() or not (key.reveal() or " ").isprintable():
        raise InvalidSetting(f"{prefix}_KEY: the value cannot be used; give printable ASCII")
    rate = read(environ, f"{prefix}_RATE", limit(f"provider.{provider.name}.{_tag(key)}"), "off")
    return Access(address.reveal(), key, rate)


def _tag(key: Secret) -> str:
    """What tells credentials apart in the store without giving them away."""
    return hashlib.sha256(key.reveal().encode()).hexdigest()[:12]


def _address(text: str) -> Secret:
    return Secret("") if text in {"", "off"} else web_address("https", "http")(text)
