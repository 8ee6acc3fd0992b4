"""The cache: one Redis hash per subject, a field per stage.

    consulta:v{version}:{tipo}:{digest}     hash: stage -> Entry as JSON
    consulta:version                        the schema version; raising it hides all before it
    consulta:cache:keys:{version}           zset: the subjects of a version, {tipo}:{digest}, by
                                            the instant their key expires (ms of Redis' clock)
    consulta:cache:counters                 hash: hits, misses; processes add theirs each second

The index is there so that subjects can be counted without a walk over all keys. Whatever writes or
removes a subject's key does the same in it, in the same script. Entries of a release that had no
index are read and removed like all others; they count once a cleaning has met them.

The digest is keyed, since a plain hash of a CPF is undone in minutes by trying all of them.
An entry is kept longer than it is fresh: when every provider is down, stale is better than none.
"""

import asyncio
import math
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct, json

from shared.domain.keyed import Keyed
from shared.errors import InvalidInput, StoreUnavailable
from shared.identifiers import KINDS, parse
from shared.messages import Outcome, instant, unix
from shared.settings import Secret
from shared.store import Store, translated
from shared.store.record import Kept

DAY: Final = 86400.0
KEEP: Final = 30 * DAY
# Seconds an entry is fresh where its writer does not say: person and company data, then the rest.
TTL: Final[dict[str, float]] = {"cpf": 7 * DAY, "cnpj": 7 * DAY, "ddd": 30 * DAY}
VERSION: Final = "consulta:version"
# What the keys of all subjects and of the version begin with, and no others.
PREFIX: Final = "consulta:v"
_COUNTERS: Final = "consulta:cache:counters"
_INDEX: Final = "consulta:cache:keys:"
_WILDCARDS: Final = frozenset("*?")
# How often they are written.
COUNTS_S: Final = 1.0
# What a caller may invalidate by: our own keys, wholly or up to a wildcard.
_PATTERN: Final = re.compile(r"consulta:v(\d+|\*):([a-z]+|\*)(:[0-9a-f?*]+)?|consulta:v(\d+|\*):\*")


class Entry(Struct, kw_only=True):
    """What is known of one stage of a subject.

    `fetched` is the instant the provider was asked, as on the wire; `fresh_until` Unix seconds.
    """

    data: Any
    source: str
    fetched: str
    fresh_until: float
    outcome: Outcome = "ok"

    def is_fresh(self, now: float | None = None) -> bool:
        return self.fresh_until > (time.time() if now is None else now)

    def age(self, now: float | None = None) -> int:
        """Whole seconds since it was fetched."""
        return max(0, int((time.time() if now is None else now) - unix(self.fetched)))


Entries = dict[str, Entry]
_encoder = json.Encoder()
_decoder = json.Decoder(Entry)


class Cache:
    """Reads for everybody; writes for whoever ends a lookup and, by `cached`, for reference data.

    Identifiers may come in any spelling. Kinds beside the four of a lookup are reference data,
    such as the cities of an area code.
    """

    def __init__(self, store: Store, secret: Secret) -> None:
        self._store = store
        self._keyed = Keyed(secret.reveal().encode())
        # Since they were written last.
        self._hits = self._misses = 0

    def digest(self, kind: str, identifier: str) -> str:
        """The subject's digest: 32 hex digits, the same for every spelling.

        Raises:
            InvalidInput: no identifier of that kind.
        """
        value = parse(kind, identifier).value if kind in KINDS else identifier.strip()
        return self.digest_of(kind, value)

    def digest_of(self, kind: str, value: str) -> str:
        """The digest of an identifier that is in its one spelling already."""
        return self._keyed.hex(f"{kind}:{value}".encode())[:32]

    async def read(self, kind: str, digest: str) -> Entries:
        """All that is known of a subject, fresh or stale, in one round trip."""
        return (await self.look(kind, digest))[0]

    async def look(self, kind: str, digest: str) -> tuple[Entries, float]:
        """The same, and the seconds for which there is anything."""
        left, flat = await self._store.run("cache_read", [VERSION], kind, digest)
        return entries_of(flat), left / 1000 if left >= 0 else math.inf

    async def write(self, kind: str, digest: str, entries: Entries) -> None:
        """Store entries of a subject under the version of this moment."""
        if entries:
            fields = kept(kind, digest, entries).fields
            await self._store.run("cache_write", [VERSION], kind, digest, int(KEEP), *fields)

    async def get(self, kind: str, identifier: str, field: str) -> Entry | None:
        """One entry of a subject, fresh or stale."""
        return (await self.read(kind, self.digest(kind, identifier))).get(field)

    async def set(
        self,
        kind: str,
        identifier: str,
        field: str,
        data: Any,
        *,
        source: str,
        ttl: float | None = None,
    ) -> Entry:
        """Store one entry of a subject, fresh for `ttl` seconds or as long as its kind is."""
        now = time.time()
        until = now + (TTL.get(kind, DAY) if ttl is None else ttl)
        entry = Entry(data=data, source=source, fetched=instant(now), fresh_until=until)
        await self.write(kind, self.digest(kind, identifier), {field: entry})
        return entry

    def count(self, *, hit: bool) -> None:
        """Note that a lookup was a hit, or was none."""
        if hit:
            self._hits += 1
        else:
            self._misses += 1

    async def write_counts(self) -> None:
        """Add what was counted to what all processes have counted.

        Raises:
            StoreUnavailable: it will be added the next time; once too often if only the answer was
                lost.
        """
        hits, misses = self._hits, self._misses
        if not hits and not misses:
            return
        self._hits = self._misses = 0
        try:
            await asyncio.gather(
                self._store.do("HINCRBY", _COUNTERS, "hits", hits),
                self._store.do("HINCRBY", _COUNTERS, "misses", misses),
            )
        except BaseException:
            self._hits += hits
            self._misses += misses
            raise

    async def keep_counts(self) -> None:
        """Do so once a second until cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(COUNTS_S)
                # A Redis that takes no write may be read, and so may what is cached there.
                with suppress(StoreUnavailable):
                    await self.write_counts()
        finally:
            with suppress(StoreUnavailable):
                await self.write_counts()

    async def version(self) -> int:
        """The schema version of this moment."""
        return int(await self._store.do("GET", VERSION) or 1)

    async def raise_version(self) -> int:
        """Make everything stored until now invalid, in every process at once."""
        await self._store.do("SET", VERSION, 1, "NX")
        return int(await self._store.do("INCR", VERSION))

    async def invalidate(self, kind: str, identifier: str) -> int:
        """Forget a subject. Returns how many keys were removed."""
        digest = self.digest(kind, identifier)
        return int(await self._store.run("cache_forget", [VERSION], kind, digest))

    async def invalidate_pattern(self, pattern: str) -> int:
        """Forget every subject whose key matches, e.g. `consulta:v2:cpf:*`.

        Raises:
            InvalidInput: no pattern of cache keys; the state of lookups cannot be removed by it.
        """
        if not _PATTERN.fullmatch(pattern):
            raise InvalidInput("padrao", "use a forma consulta:v2:cpf:* (versão, tipo, resto)")
        if not _WILDCARDS & set(pattern):
            return await self._remove([pattern])
        removed = 0
        async for keys in self._walk(pattern):
            removed += await self._remove(keys)
        return removed

    async def clean(self) -> int:
        """Remove what older schema versions left. Returns how many keys went.

        All keys are walked over, once; of those that stay it sees to it that they are indexed.
        """
        current, removed = await self.version(), 0
        async for keys in self._walk("consulta:v*:*"):
            old = [key for key in keys if _version_of(key) < current]
            removed += await self._remove(old)
            if len(old) < len(keys):
                await self._store.run("cache_index", [key for key in keys if key not in old])
        if current > 1:
            await self._store.do("UNLINK", *(_INDEX + str(old) for old in range(1, current)))
        return removed

    async def _remove(self, keys: list[str]) -> int:
        return int(await self._store.run("cache_remove", keys)) if keys else 0

    async def _walk(self, pattern: str) -> AsyncIterator[list[str]]:
        """All keys that match, in batches: a walk over everything there is in Redis."""
        cursor = 0
        while True:
            after, keys = await self._store.do("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            if keys:
                yield [key.decode() for key in keys]
            if not (cursor := int(after)):
                return

    @translated
    async def statistics(self) -> dict[str, int]:
        """`total_keys` of this version, `hits` and `misses` so far, `memory_used` in bytes."""
        total, hits, misses = await self._store.run("cache_statistics", [VERSION, _COUNTERS])
        memory = await self._store.do("INFO", "memory")
        return {
            "total_keys": int(total),
            "hits": int(hits),
            "misses": int(misses),
            "memory_used": int(memory.split(b"used_memory:", 1)[1].split(b"\r", 1)[0]),
        }


def entries_of(flat: Sequence[bytes]) -> Entries:
    """The entries of a subject's hash, as Redis gives it: field, entry, …"""
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {field.decode(): _decoder.decode(entry) for field, entry in pairs}


def kept(kind: str, digest: str, entries: Entries) -> Kept:
    """Entries as a script writes them down."""
    fields = [x for name, entry in entries.items() for x in (name, _encoder.encode(entry).decode())]
    return Kept(kind=kind, digest=digest, lifetime=int(KEEP), fields=fields)


def _version_of(key: str) -> int:
    """The schema version of a cache key; of another one, such as no release writes, none."""
    version = key.removeprefix("consulta:v").partition(":")[0]
    return int(version) if version.isdecimal() else sys.maxsize
