"""`python -m tests.bench [name …]`: every benchmark of this folder, or those that are named."""

import importlib
import pkgutil
import sys

import tests.bench


def main() -> None:
    """Run them one after the other, so that none disturbs another."""
    found = [module.name for module in pkgutil.iter_modules(tests.bench.__path__)]
    known = [name for name in found if not name.startswith("_")]
    asked = sys.argv[1:] or known
    if unknown := [name for name in asked if name not in known]:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    for name in asked:
        print(f"== {name}", flush=True)
        importlib.import_module(f"tests.bench.{name}").main()


if __name__ == "__main__":
    main()
