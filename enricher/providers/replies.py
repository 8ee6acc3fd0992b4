"""What a provider's status means, for the formats that agree on it."""

from enricher.failures import Malformed, NotFound, Rejected
from enricher.http import Reply
from enricher.providers.fields import Fields


def checked(reply: Reply, *, error_key: str, confirmed: bool = True) -> Reply:
    """A success as it is, an error as its failure.

    Args:
        error_key: a field of this provider's own errors. A 404 without it comes from an edge, a
            proxy or a wrong path, and says nothing about the record.
        confirmed: whether the provider's 404 proves that there is no record.

    Raises:
        NotFound, Rejected, Malformed.
    """
    if reply.status < 300:
        return reply
    own = error_key in reply.read(Fields)
    if own and reply.status == 404:
        raise NotFound(confirmed=confirmed)
    if own and reply.status in {400, 422}:
        raise Rejected(f"status {reply.status}")
    raise Malformed(f"status {reply.status}")
