"""Server-sent events are read rightly wherever the network cuts them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consulta import sse
from consulta.errors import ClientError
from consulta.sse import SseParser

STREAM = (
    b"\xef\xbb\xbfretry: 1500\n\n"
    b": ping\n\n"
    b'id: 1\nevent: iniciado\ndata: {"seq":1}\n\n'
    b"event: two lines\r\ndata: a\r\ndata:b\r\n\r\n"
    b"data: of\rdata: cr\r\r"
    b"id: 9\n\n"
    b"event: lost\n\n"
    b"data\n\n"
    b'event: completo\ndata: {"nome":"Jo\xc3\xa3o"}\n\n'
    b"data: cut off in the mid"
)
EVENTS = [
    ("iniciado", b'{"seq":1}'),
    ("two lines", b"a\nb"),
    ("message", b"of\ncr"),
    ("message", b""),
    ("completo", b'{"nome":"Jo\xc3\xa3o"}'),
]


def read(*chunks: bytes) -> tuple[list[tuple[str, bytes]], SseParser]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)], parser


def test_a_stream_in_one_piece() -> None:
    events, parser = read(STREAM)
    assert events == EVENTS
    assert parser.retry == 1.5


def test_a_stream_byte_by_byte() -> None:
    # All but the mark at the start, which comes whole with the first line.
    assert read(*(STREAM[i : i + 1] for i in range(len(STREAM))))[0] == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_cut_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(places)]
    assert read(*pieces)[0] == EVENTS


@given(st.lists(st.sampled_from([b"\r", b"\n", b"data: x", b"event: y", b":", b""]), max_size=20))
def test_line_ends_mean_the_same_together_and_apart(parts: list[bytes]) -> None:
    assert read(*parts)[0] == read(b"".join(parts))[0]


@pytest.mark.parametrize("line", [b"data: %b\n", b"data: %b"])
def test_an_event_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT", 1000)
    with pytest.raises(ClientError, match="grande demais"):
        read(*[line % (b"x" * 100)] * 11)
