"""What can go wrong between a client and consulta, as a tree.

ConsultaError (shared.errors)
├── InvalidInput      a field that has to be mended, found before anything was sent
└── ClientError
    ├── ApiError      the gateway said no: status, field, detail
    ├── Unreachable   the gateway or the broker could not be reached
    │   └── Refused   the broker answers, and refuses the user, the address or a right
    └── LookupLost    the lookup was accepted, and its end was not heard in time

The texts are Portuguese, name no identifier, and no URL: it may hold a password.
"""

from shared.errors import ConsultaError


class ClientError(ConsultaError):
    """Root of what the clients raise."""


class ApiError(ClientError):
    """The gateway's `application/problem+json`.

    Attributes:
        status: HTTP status.
        field: the field of the request that is wrong; empty where it is none.
        detail: what is wrong and how to mend it, in Portuguese.
        retry_after: seconds after which it is worth trying again, where the gateway tells.
    """

    def __init__(
        self, status: int, field: str, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.status, self.field, self.detail = status, field, detail
        self.retry_after = retry_after


class Unreachable(ClientError):
    """The server is away, or the connection was lost before it had accepted the request."""


class Refused(Unreachable):
    """RabbitMQ refuses what the client needs, and will again: says where, what and the mend."""


class LookupLost(ClientError):
    """An accepted lookup could not be followed to its end. It may well have one by now.

    Attributes:
        task_id: by it the lookup can be followed further.
    """

    def __init__(self, task_id: str, detail: str) -> None:
        super().__init__(f"{detail} (task_id {task_id})")
        self.task_id = task_id
