"""Ready answers in memory: as many as there is room for, those that were asked for last."""

from collections import OrderedDict

from gateway.hits.ready import Form, Ready
from shared import metrics
from shared.messages import Stage

Which = tuple[tuple[Stage, ...], Form]


class Near:
    """Ready answers by subject, `{kind}:{digest}`, and by which stages in which form.

    Args:
        room: bytes they may take in all.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        # Those that were asked for last are last.
        self._subjects: OrderedDict[str, dict[Which, Ready]] = OrderedDict()
        self.bytes = 0

    def get(self, subject: str, which: Which) -> Ready | None:
        """A ready answer that is still fresh."""
        answers = self._subjects.get(subject)
        found = answers.get(which) if answers is not None else None
        if found is None:
            return None
        if not found.is_fresh():
            self.forget(subject)
            return None
        self._subjects.move_to_end(subject)
        return found

    def put(self, subject: str, which: Which, answer: Ready) -> None:
        """Keep an answer, in the place of the oldest; not at all if it is larger than the room."""
        if answer.size > self._room:
            return
        answers = self._subjects.setdefault(subject, {})
        before = answers.get(which)
        answers[which] = answer
        self._subjects.move_to_end(subject)
        self._take(answer.size - (before.size if before is not None else 0))
        while self.bytes > self._room:
            self.forget(next(iter(self._subjects)))

    def forget(self, subject: str | None) -> None:
        """No longer have any answer about this subject; or about any."""
        if subject is None:
            self._subjects.clear()
            self._take(-self.bytes)
        else:
            answers = self._subjects.pop(subject, {})
            self._take(-sum(answer.size for answer in answers.values()))

    def _take(self, size: int) -> None:
        self.bytes += size
        metrics.near_bytes.inc(size)
