"""A digest under a key is the HMAC that everybody else would reckon."""

import hmac

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.keyed import Keyed


@given(st.binary(max_size=200), st.lists(st.binary(max_size=200), max_size=3))
def test_it_is_hmac_sha256(key: bytes, texts: list[bytes]) -> None:
    keyed = Keyed(key)
    for text in texts:
        assert keyed.hex(text) == hmac.new(key, text, "sha256").hexdigest()
