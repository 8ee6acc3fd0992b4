"""The window of calls against plain counting."""

from hypothesis import given
from hypothesis import strategies as st

from enricher.window import Window

Call = tuple[float, float, bool | None]
CALLS = st.lists(
    st.tuples(st.floats(0, 20), st.floats(0, 12), st.sampled_from([True, False, None])),
    max_size=80,
)


@given(calls=CALLS, later=st.floats(0, 70))
def test_it_counts_what_is_not_older_than_its_length(calls: list[Call], later: float) -> None:
    moment = 0.0
    window = Window(60, 8, lambda: moment)
    seen = []
    for passed, duration, failed in calls:
        moment += passed
        window.add(duration, failed=failed)
        seen.append((moment, duration, failed))
    moment += later
    recent = [(duration, failed) for at, duration, failed in seen if at > moment - 60]
    decided = [failed for _, failed in recent if failed is not None]
    assert (window.total, window.decided) == (len(recent), len(decided))
    assert window.failure_rate == (sum(decided) / len(decided) if decided else 0)
    slow = sum(duration >= 8 for duration, _ in recent)
    assert window.slow_rate == (slow / len(recent) if recent else 0)


def test_percentiles_need_some_calls() -> None:
    window = Window(60, 8, lambda: 0.0)
    for hundredths in range(99):
        assert (window.percentile(0.95) is None) == (hundredths < 20)
        window.add(hundredths / 100, failed=False)
    assert window.percentile(0.95) == 0.94
