"""Read server-sent events (WHATWG HTML, section 9.2.6), wherever the network cuts them."""

import re
from collections.abc import Iterator
from typing import Final

from consulta.errors import ClientError

# A result is some ten KiB; a line or an event beyond this is not from a gateway.
MAX_EVENT: Final = 16 * 1024 * 1024
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


class SseParser:
    """Takes bytes as they come and gives whole events.

    `retry` is the wait in seconds the server last asked for before a reconnection, if it did.
    An event that has begun when the connection ends is dropped, as the standard wants it.
    """

    def __init__(self) -> None:
        self.retry: float | None = None
        self._line = bytearray()
        self._type = b""
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first = True

    def feed(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        """The type and the data of each event these bytes complete.

        Raises:
            ClientError: an event longer than MAX_EVENT.
        """
        if not chunk:
            return
        # After a CR, an LF is the other half of a line end that was taken already.
        parts = _LINE_END.split(chunk.removeprefix(b"\n") if self._after_cr else chunk)
        self._after_cr = chunk.endswith(b"\r")
        *ended, rest = parts
        for part in ended:
            line = bytes(self._line) + part
            self._line.clear()
            yield from self._take(line)
        self._line += rest
        if self._size + len(self._line) > MAX_EVENT:
            raise ClientError("o gateway enviou um evento grande demais")

    def _take(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if not line:
            if self._data:
                yield self._type.decode(errors="replace") or "message", b"\n".join(self._data)
            self._type, self._size = b"", 0
            self._data.clear()
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._type = value
        elif name == b"retry" and value.isdigit():
            self.retry = int(value[:9]) / 1000
