"""The window of calls against plain counting."""

from hypothesis import given
from hypothesis import strategies as st

from enricher.window import Window

Call = tuple[float, float, tuple[bool | None, bool]]
ENDS = [(True, False), (False, False), (None, False), (None, True)]
CALLS = st.lists(st.tuples(st.floats(0, 20), st.floats(0, 12), st.sampled_from(ENDS)), max_size=80)


@given(calls=CALLS, later=st.floats(0, 70))
def test_it_counts_what_is_not_older_than_its_length(calls: list[Call], later: float) -> None:
    moment = 0.0
    window = Window(60, 8, lambda: moment)
    seen = []
    for passed, duration, (failed, given_up) in calls:
        moment += passed
        window.add(duration, failed=failed, given_up=given_up)
        seen.append((moment, duration, failed, given_up))
    moment += later
    recent = [(took, failed, given_up) for at, took, failed, given_up in seen if at > moment - 60]
    decided = [failed for _, failed, _ in recent if failed is not None]
    slow = [took >= 8 for took, _, given_up in recent if took >= 8 or not given_up]
    assert (window.timed, window.decided) == (len(slow), len(decided))
    assert window.failure_rate == (sum(decided) / len(decided) if decided else 0)
    assert window.slow_rate == (sum(slow) / len(slow) if slow else 0)


def test_a_call_given_up_soon_does_not_show_that_its_provider_is_quick() -> None:
    window = Window(60, 8, lambda: 0.0)
    for _ in range(20):
        window.add(9, failed=False)
        window.add(0.3, failed=None, given_up=True)
    assert (window.timed, window.slow_rate) == (20, 1)
    window.add(9, failed=None, given_up=True)
    assert (window.timed, window.slow_rate) == (21, 1)


def test_percentiles_need_some_calls() -> None:
    window = Window(60, 8, lambda: 0.0)
    for hundredths in range(99):
        assert (window.percentile(0.95) is None) == (hundredths < 20)
        window.add(hundredths / 100, failed=False)
    assert window.percentile(0.95) == 0.94
