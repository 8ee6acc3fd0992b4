"""`python -m gateway`"""

from gateway.app import build
from gateway.settings import Settings
from shared.app import main, refuse
from shared.errors import InvalidSetting
from shared.settings import load

if __name__ == "__main__":
    try:
        settings = load(Settings)
    except InvalidSetting as error:
        refuse(error)
    else:
        address = (settings.gateway_host, settings.gateway_port)
        main("gateway", settings.gateway_ops_port, settings, lambda: build(settings), address)
