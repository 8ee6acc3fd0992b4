"""Events on their way to a client, as many in one write as there is room for."""

import pytest

from gateway.sse import TOGETHER, Head, frame, joined


@pytest.mark.parametrize(
    ("sizes", "writes"),
    [
        ([], []),
        ([10], [1]),
        ([10, 20, 30], [3]),
        ([TOGETHER // 2, TOGETHER // 2, 1], [2, 1]),
        ([TOGETHER + 1, 1], [1, 1]),
        ([1, TOGETHER * 3, 1, 1], [1, 1, 2]),
    ],
)
def test_each_event_goes_out_once_and_in_order(sizes: list[int], writes: list[int]) -> None:
    told = [(Head("endereco", seq), b"x" * size) for seq, size in enumerate(sizes, 1)]
    whole = b"".join(frame(*each) for each in told)
    pieces = []
    for piece in joined(told):
        pieces.append(piece)
        # What has been handed out is not held.
        assert len(told) == len(sizes) - sum(each.count(b"id: ") for each in pieces)
    assert b"".join(pieces) == whole
    assert [piece.count(b"id: ") for piece in pieces] == writes
