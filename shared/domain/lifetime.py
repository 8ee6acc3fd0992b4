"""How long a service may take to end. Each is longer than what it waits for."""

from typing import Final

# Requests that are being answered, streams among them, may end.
REQUESTS_S: Final = 5.0
# Then handlers may finish what they took: long enough for a provider's slowest answer, so that a
# stop rarely makes work twice.
DRAIN_S: Final = 15.0
# Then the rest is closed. What has not ended by now ends at once.
END_S: Final = REQUESTS_S + DRAIN_S + 8.0
# What whoever stops a service waits before a SIGKILL: `make run`, containers, tests.
GRACE_S: Final = END_S + 2.0
