"""What can go wrong, as a tree.

ConsultaError
├── InvalidInput        the asker can mend it: names the field and the mend
├── InvalidSetting      the operator can mend it: names the variable
├── Unavailable         an outage of ours: wait and do it again, it counts against nobody
│   ├── StoreUnavailable    Redis does not answer, or cannot do its work
│   │   └── StoreRefused        it answered that it cannot
│   └── BusUnavailable      RabbitMQ does not take the message
│       └── BusRefused          and never will: names what, and the mend
└── Undecodable         the bytes are no message of ours: doing it again cannot help
"""


class ConsultaError(Exception):
    """Root of every error this project raises on purpose."""


class InvalidInput(ConsultaError):
    """A field of the request that its sender has to mend.

    `message` is Portuguese, says what is expected, and never repeats the value: it ends up in
    answers and logs.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class InvalidSetting(ConsultaError):
    """An environment variable a service cannot start with: variable, fault and mend in a line."""


class Unavailable(ConsultaError):
    """A server of ours is away. The work is kept and done again once it is back."""


class StoreUnavailable(Unavailable):
    """Redis is away, loading, full, read-only or stuck, or took too long."""


class StoreRefused(StoreUnavailable):
    """Redis answered, with an outage of its own: full, read-only, … It may still serve reads."""


class BusUnavailable(Unavailable):
    """RabbitMQ is away, or did not confirm; the message may or may not have been stored."""


class BusRefused(BusUnavailable):
    """RabbitMQ refuses what we need, however often it is asked: where, what and the mend in a line.

    A service ends over it. The line holds no password.
    """


class Undecodable(ConsultaError):
    """A body that is not the message its queue carries. `task` is its task_id, where readable."""

    def __init__(self, reason: str, task: str | None = None) -> None:
        super().__init__(reason)
        self.task = task
