"""`python -m analyzer`"""

from analyzer.app import build
from analyzer.settings import Settings
from shared.app import main, refuse
from shared.errors import InvalidSetting
from shared.settings import load

if __name__ == "__main__":
    try:
        settings = load(Settings)
    except InvalidSetting as error:
        refuse(error)
    else:
        main("analyzer", settings.analyzer_ops_port, settings, lambda: build(settings))
