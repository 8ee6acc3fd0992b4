"""Free ports on the loopback interface."""

import random
import socket

# Below 32768, where Linux starts to hand out ports to outgoing connections: one of those could
# take the port between the choice here and the server's own bind.
_RANGE = range(20_000, 32_768)
_given: set[int] = set()


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: connections of an earlier run that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, never the same twice in one process.

    Random rather than the lowest, so that two runs started together do not choose alike.

    Raises:
        OSError: no free port was found in 1000 tries.
    """
    for _ in range(1000):
        port = random.choice(_RANGE)  # noqa: S311 - not a secret
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"no free port between {_RANGE.start} and {_RANGE.stop - 1}")
