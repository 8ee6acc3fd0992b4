"""Redis: one connection, and what stands there."""

from shared.store.store import TIMEOUT, Argument, Store, translated

__all__ = ["TIMEOUT", "Argument", "Store", "translated"]
