"""The cache: one Redis hash per subject, a field per stage.

    consulta:v{version}:{tipo}:{digest}     hash: stage -> Entry as JSON
    consulta:version                        the schema version; raising it hides all before it
    consulta:cache:counters                 hash: hits, misses

The digest is keyed, since a plain hash of a CPF is undone in minutes by trying all of them.
An entry is kept longer than it is fresh: when every provider is down, stale is better than none.
"""

import hashlib
import hmac
import re
import time
from typing import Any, Final

from msgspec import Struct, json

from shared.errors import InvalidInput
from shared.identifiers import KINDS, parse
from shared.messages import Outcome, instant, unix
from shared.settings import Secret
from shared.store import Store, translated

DAY: Final = 86400.0
KEEP: Final = 30 * DAY
# Seconds an entry is fresh where its writer does not say: person and company data, then the rest.
TTL: Final[dict[str, float]] = {"cpf": 7 * DAY, "cnpj": 7 * DAY, "ddd": 30 * DAY}
_VERSION: Final = "consulta:version"
_COUNTERS: Final = "consulta:cache:counters"
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
    """Reads for everybody, writes for the cache_service and, by `cached`, for reference data.

    Identifiers may come in any spelling. Kinds beside the four of a lookup are reference data,
    such as the cities of an area code.
    """

    def __init__(self, store: Store, secret: Secret) -> None:
        self._store = store
        self._secret = secret.reveal().encode()

    def digest(self, kind: str, identifier: str) -> str:
        """The subject's digest: 32 hex digits, the same for every spelling.

        Raises:
            InvalidInput: no identifier of that kind.
        """
        value = parse(kind, identifier).value if kind in KINDS else identifier.strip()
        subject = f"{kind}:{value}".encode()
        return hmac.new(self._secret, subject, hashlib.sha256).hexdigest()[:32]

    async def read(self, kind: str, digest: str) -> Entries:
        """All that is known of a subject, fresh or stale, in one round trip."""
        flat = await self._store.run("cache_read", [_VERSION], kind, digest)
        return {
            field.decode(): _decoder.decode(entry)
            for field, entry in zip(flat[::2], flat[1::2], strict=True)
        }

    async def write(self, kind: str, digest: str, entries: Entries) -> None:
        """Store entries of a subject under the version of this moment."""
        if entries:
            pairs = [x for field, entry in entries.items() for x in (field, _encoder.encode(entry))]
            await self._store.run("cache_write", [_VERSION], kind, digest, int(KEEP), *pairs)

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

    async def count(self, *, hit: bool) -> None:
        """Note that a lookup was a hit, or was none."""
        await self._store.do("HINCRBY", _COUNTERS, "hits" if hit else "misses", 1)

    @translated
    async def version(self) -> int:
        """The schema version of this moment."""
        return int(await self._store.redis.get(_VERSION) or 1)

    @translated
    async def raise_version(self) -> int:
        """Make everything stored until now invalid, in every process at once."""
        redis = self._store.redis
        await redis.set(_VERSION, 1, nx=True)
        return int(await redis.incr(_VERSION))

    @translated
    async def invalidate(self, kind: str, identifier: str) -> int:
        """Forget a subject. Returns how many keys were removed."""
        pattern = f"consulta:v*:{kind}:{self.digest(kind, identifier)}"
        return await self._remove(pattern)

    @translated
    async def invalidate_pattern(self, pattern: str) -> int:
        """Forget every subject whose key matches, e.g. `consulta:v2:cpf:*`.

        Raises:
            InvalidInput: no pattern of cache keys; the state of lookups cannot be removed by it.
        """
        if not _PATTERN.fullmatch(pattern):
            raise InvalidInput("padrao", "use a forma consulta:v2:cpf:* (versão, tipo, resto)")
        return await self._remove(pattern)

    async def _remove(self, pattern: str) -> int:
        redis, removed, batch = self._store.redis, 0, []
        async for key in redis.scan_iter(match=pattern, count=1000):
            batch.append(key)
            if len(batch) == 500:
                removed += await redis.unlink(*batch)
                batch.clear()
        return removed + (await redis.unlink(*batch) if batch else 0)

    @translated
    async def clean(self) -> int:
        """Remove what older schema versions left. Returns how many keys went."""
        current = await self.version()
        removed = 0
        for version in range(1, current):
            removed += await self._remove(f"consulta:v{version}:*")
        return removed

    @translated
    async def statistics(self) -> dict[str, int]:
        """`total_keys` of this version, `hits` and `misses` so far, `memory_used` in bytes."""
        redis = self._store.redis
        total = 0
        async for _ in redis.scan_iter(match=f"consulta:v{await self.version()}:*", count=1000):
            total += 1
        counters = await redis.hgetall(_COUNTERS)
        memory = await redis.info("memory")
        return {
            "total_keys": total,
            "hits": int(counters.get(b"hits", 0)),
            "misses": int(counters.get(b"misses", 0)),
            "memory_used": int(memory["used_memory"]),
        }
