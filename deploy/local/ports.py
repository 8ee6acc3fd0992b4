"""Free ports on the loopback interface."""

import random
import socket

# Below 32768, where Linux starts to hand out ports to outgoing connections: one of those could
# take the port between the choice here and the server's own bind.
_RANGE = range(20_000, 32_768)


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
    """A port of 127.0.0.1 for a server to listen on, kept for it until this process ends.

    Whoever binds it with SO_REUSEADDR, as servers do, gets it, however often it starts again;
    nobody who looks for a free one does, neither in this process nor in another.

    Raises:
        OSError: no free port was found in 1000 tries.
    """
    # Random rather than the lowest: others look for theirs.
    for port in random.sample(_RANGE, 1000):
        if _keep(port):
            return port
    raise OSError(f"no free port between {_RANGE.start} and {_RANGE.stop - 1}")


def _keep(port: int) -> bool:
    """Have a socket that has the port, and never listens on it; False if somebody has it."""
    with socket.socket() as keeper:
        try:
            # Not yet to be shared: so it fails wherever the port is anybody's, listening or not.
            keeper.bind(("127.0.0.1", port))
        except OSError:
            return False
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Open for as long as this process is there.
        keeper.detach()
    return True
