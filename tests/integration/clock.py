"""Time for circuits, which passes when a test says so."""


class Clock:
    """The replicas' monotonic seconds and Redis' milliseconds."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self.passed

    def redis(self) -> int:
        return 1_800_000_000_000 + round(self.passed * 1000)

    def forward(self, seconds: float) -> None:
        self.passed += seconds
