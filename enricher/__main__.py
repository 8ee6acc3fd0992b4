"""`python -m enricher <stage>`"""

import os
import sys

from enricher.app import build
from enricher.settings import OPS_PORTS, Settings
from shared.app import main, refuse
from shared.errors import InvalidSetting
from shared.messages import STAGES, Stage
from shared.settings import load, port, read


def run() -> None:
    """Run the enricher of the stage that the command line names."""
    if len(sys.argv) != 2 or sys.argv[1] not in STAGES:
        sys.exit(f"usage: python -m enricher {'|'.join(STAGES)}")
    stage: Stage = sys.argv[1]
    try:
        settings = load(Settings)
        ops_port = read(os.environ, f"ENRICHER_{stage.upper()}_OPS_PORT", port, OPS_PORTS[stage])
    except InvalidSetting as error:
        refuse(error)
    else:
        main(f"enricher {stage}", ops_port, settings, lambda: build(settings, stage))


if __name__ == "__main__":
    run()
