"""`python -m gateway`"""

from gateway.app import build
from gateway.settings import Settings
from shared.app import Address, main, refuse
from shared.errors import InvalidSetting
from shared.keys import Keys
from shared.settings import load

if __name__ == "__main__":
    try:
        settings = load(Settings)
        keys = Keys(settings.api_keys_file) if settings.api_keys_file is not None else None
    except InvalidSetting as error:
        refuse(error)
    else:
        main(
            "gateway",
            settings.gateway_ops_port,
            settings,
            lambda: build(settings, keys),
            Address(
                settings.gateway_host,
                settings.gateway_port,
                "GATEWAY_PORT",
                share=settings.gateway_share_port,
            ),
        )
