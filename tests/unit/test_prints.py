"""What is kept of a request to recognise its repetition."""

import pytest

from gateway.security.prints import Prints
from shared.messages import Lookup
from shared.settings import Secret

ASKED = Lookup(identifier="11144477735")
OURS, THEIRS = Prints(Secret("o" * 32)), Prints(Secret("t" * 32))


def test_a_print_is_the_same_again_and_no_other_installations() -> None:
    again = Prints(Secret("o" * 32))
    assert again.request(Lookup(identifier="11144477735")) == OURS.request(ASKED)
    assert again.name("acme", "1") == OURS.name("acme", "1")
    assert THEIRS.request(ASKED) != OURS.request(ASKED)
    assert THEIRS.name("acme", "1") != OURS.name("acme", "1")


@pytest.mark.parametrize(
    "other",
    [
        Lookup(identifier="11144477736"),
        Lookup(identifier="11144477735", priority=6),
        Lookup(identifier="11144477735", purpose="outra"),
    ],
)
def test_another_request_has_another_print(other: Lookup) -> None:
    assert OURS.request(other) != OURS.request(ASKED)


def test_names_of_two_tenants_and_of_two_keys_are_apart() -> None:
    names = {OURS.name("acme", "1"), OURS.name("acme", "2"), OURS.name("other", "1")}
    assert len(names) == 3
