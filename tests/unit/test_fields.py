"""Readers of single fields: what sources write, brought to one form, and never an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.providers import fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("value", "read"),
    [("  RUA   DAS FLORES ", "RUA DAS FLORES"), ("", None), (" ", None), (7, "7"), (True, None),
     (1.5, None), ([], None), (None, None), (10**30, None)],
)  # fmt: skip
def test_a_text_has_no_padding_and_is_never_empty(value: object, read: str | None) -> None:
    assert fields.text(value) == read


@pytest.mark.parametrize(
    ("value", "length", "read"),
    [("01001-000", 8, "01001000"), (1001000, 8, "01001000"), ("1234", 8, None),
     ("00000000", 8, None), (111301, 7, "0111301"), ("9430-8/00", 7, "9430800"), (0, 7, None),
     ("41 3333-4444", 0, "4133334444"), ("", 0, None), ("٣٣", 0, None), (-1001000, 8, "01001000")],
)  # fmt: skip
def test_digits_are_all_there_or_none(value: object, length: int, read: str | None) -> None:
    assert fields.digits(value, length) == read


@pytest.mark.parametrize(
    ("value", "form", "read"),
    [("1998-02-27", "%Y-%m-%d", "1998-02-27"), ("1998-02-27T00:00:00Z", "%Y-%m-%d", "1998-02-27"),
     ("0000-00-00", "%Y-%m-%d", None), ("1998-02-30", "%Y-%m-%d", None), ("", "%Y-%m-%d", None),
     ("01051976", "%d%m%Y", "1976-05-01"), ("00000000", "%d%m%Y", None)],
)  # fmt: skip
def test_a_date_is_a_day_of_the_calendar(value: object, form: str, read: str | None) -> None:
    assert fields.date(value, form) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [("1000,00", 1000.0), ("1000.00", 1000.0), ("1.000,50", 1000.5), ("1.000.000", 1e6),
     ("1000", 1000.0), (1000, 1000.0), (0, 0.0), (0.5, 0.5), ("", None), ("inf", None),
     ("1,000.00", None), (float("inf"), None), (True, None), ("R$ 10", None), ([], None),
     (10**400, None), ("9" * 400, None), (float("nan"), None)],
)  # fmt: skip
def test_an_amount_is_read_with_a_comma_or_a_point(value: object, read: float | None) -> None:
    assert fields.amount(value) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [(True, True), (False, False), ("S", True), ("N", False), ("", None), (None, None), (1, None)],
)
def test_yes_and_no_are_told_from_unknown(value: object, read: bool | None) -> None:
    assert fields.yes(value) is read


def test_states_in_capitals_and_in_words_are_the_same() -> None:
    assert fields.words("ATIVA") == fields.words("Ativa") == "Ativa"


@given(JSON)
def test_no_value_is_an_error(value: object) -> None:
    for read in (fields.text, fields.words, fields.digits, fields.date, fields.amount, fields.yes,
                 fields.objects, fields.items, fields.inner):  # fmt: skip
        read(value)
