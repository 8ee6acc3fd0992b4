"""`python -m enricher STAGE [STAGE ...]`"""

import os
import sys
from collections.abc import Sequence
from typing import Final

from enricher.app import build, service
from enricher.settings import Settings, ops_port, ops_variable
from shared.app import main, refuse
from shared.errors import InvalidSetting
from shared.messages import STAGES, Stage
from shared.settings import load

USAGE: Final = (
    f"usage: python -m enricher STAGE [STAGE ...]  (any of {', '.join(STAGES)}, each once)"
)


def stages(arguments: Sequence[str]) -> tuple[Stage, ...]:
    """The stages that a command line names, in its order.

    Raises:
        ValueError: none, one that there is not, or one twice; its text is how it is to be used.
    """
    named = [stage for word in arguments for stage in STAGES if stage == word]
    if not named or len(named) != len(arguments) or len(set(named)) != len(named):
        raise ValueError(USAGE)
    return tuple(named)


def run() -> None:
    """Run one process that does the stages the command line names."""
    try:
        named = stages(sys.argv[1:])
    except ValueError as error:
        sys.exit(str(error))
    first = named[0]
    try:
        settings = load(Settings)
        port = ops_port(os.environ, first)
    except InvalidSetting as error:
        refuse(error)
    else:
        main(
            service(named),
            port,
            settings,
            lambda: build(settings, named),
            variable=ops_variable(first),
        )


if __name__ == "__main__":
    run()
