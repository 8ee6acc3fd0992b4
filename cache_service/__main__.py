"""`python -m cache_service`"""

from cache_service.app import build
from cache_service.settings import Settings
from shared.app import main, refuse
from shared.errors import InvalidSetting
from shared.settings import load

if __name__ == "__main__":
    try:
        settings = load(Settings)
    except InvalidSetting as error:
        refuse(error)
    else:
        main("cache_service", settings.cache_service_ops_port, settings, lambda: build(settings))
