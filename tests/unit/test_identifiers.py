"""Identifiers: many spellings in, one out, and nothing else gets through."""

from typing import get_args

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.br import cnpj as stdnum_cnpj
from stdnum.br import cpf as stdnum_cpf

from shared.domain.area_codes import AREA_CODES
from shared.errors import InvalidInput
from shared.identifiers import KINDS, Identifier, Kind, fiscal_region, parse

BAD: dict[Kind, list[object]] = {
    "cpf": [
        "111.444.77735",
        "111-444-777.35",
        "11111111111",
        "١١١٤٤٤٧٧٧٣٥",
        "1114447773A",
        "111444777350000000000000000000000",
        "11144477736",
        None,
        11144477735,
        "",
        "   ",
        "111 444 777 35",
        "00000000191\n0",
        "191",
        "211144477735",
        True,
        ["11144477735"],
    ],
    "cnpj": [
        "11.222.333.0001-81",
        "11.222.333/000181",
        "00000000000000",
        "１１222333000181",
        "12ABC34501DE3X",
        "112223330001811",
        "11222333000182",
        None,
        11222333000181,
        "",
        "12ABÇ34501DE35",
        "11222333",
        "000000000000",
        {"cnpj": "11222333000181"},
    ],
    "cep": [
        "01.001-000",
        "010-01000",
        "99999999",
        "०१००१०००",
        "0100100O",
        "010010000",
        "00999-999",
        None,
        1001000,
        "",
        "01001 000",
        "01001-",
        1001000.0,
    ],
    "telefone": [
        "(11 98765-4321",
        "11)98765-4321",
        "99999999999",
        "१1987654321",
        "11 9876-54321",
        "0800 FLORES",
        "119876543210",
        "+55 11 98765-4321 ramal 1234567890",
        None,
        11987654321,
        "",
        "+1 650 253 0000",
        "++5511987654321",
        "(20) 98765-4321",
        "(30) 3333-4444",
        "11 78654321",
        "11 88765-4321",
        "987654321",
        "0800 123 4567",
        "190",
    ],
}


@pytest.mark.parametrize(("kind", "raw"), [(k, raw) for k, raws in BAD.items() for raw in raws])
def test_a_bad_identifier_is_refused_with_the_field_and_without_the_value(
    kind: Kind, raw: object
) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(kind, raw)
    assert caught.value.field == "identificador"
    assert caught.value.message
    if isinstance(raw, str) and raw.strip():
        assert raw.strip() not in str(caught.value)


@pytest.mark.parametrize("kind", ["", "CPF", "rg", "email"])
def test_an_unknown_kind_names_the_field_tipo(kind: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(kind, "11144477735")
    assert caught.value.field == "tipo"


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("cpf", "11144477735", "11144477735"),
        ("cpf", "111.444.777-35", "11144477735"),
        ("cpf", "011144477735", "11144477735"),
        ("cpf", " 111.444.777-35\n", "11144477735"),
        ("cpf", "1234567890", "01234567890"),
        ("cpf", "123456797", "00123456797"),
        ("cnpj", "12ABC34501DE35", "12ABC34501DE35"),
        ("cnpj", "12.ABC.345/01DE-35", "12ABC34501DE35"),
        ("cnpj", "12abc34501de35", "12ABC34501DE35"),
        ("cnpj", "11.222.333/0001-81", "11222333000181"),
        ("cnpj", "000000000191", "00000000000191"),
        ("cnpj", "6990590000123", "06990590000123"),
        ("cep", "01001-000", "01001000"),
        ("cep", "01001000", "01001000"),
        ("cep", "1001000", "01001000"),
        ("telefone", "+55 11 98765-4321", "+5511987654321"),
        ("telefone", "(11) 98765-4321", "+5511987654321"),
        ("telefone", "(011) 9 8765-4321", "+5511987654321"),
        ("telefone", "5511987654321", "+5511987654321"),
        ("telefone", "011987654321", "+5511987654321"),
        ("telefone", "1133334444", "+551133334444"),
        ("telefone", "+55 (11) 3333-4444", "+551133334444"),
        ("telefone", "55987654321", "+5555987654321"),
        ("telefone", "5555987654321", "+5555987654321"),
        ("telefone", "5532221111", "+555532221111"),
    ],
)
def test_every_spelling_has_one_value(kind: str, raw: str, value: str) -> None:
    assert parse(kind, raw).value == value


@given(st.integers(10_000_000, 999_999_999))
def test_a_generated_cpf_has_one_value_in_every_spelling(base: int) -> None:
    stem = f"{base:09d}"
    value = stem + stdnum_cpf._calc_check_digits(stem)
    if len(set(value)) == 1:
        return
    masked = f"{value[:3]}.{value[3:6]}.{value[6:9]}-{value[9:]}"
    for spelling in (value, masked, f"0{value}", f"\t{masked} ", str(int(value))):
        assert parse("cpf", spelling) == Identifier("cpf", value)


@given(st.integers(0, 10**11 - 1), st.booleans())
def test_a_cpf_is_one_if_the_library_says_so(number: int, likely: bool) -> None:
    text = f"{number:011d}"
    if likely:
        text = text[:9] + stdnum_cpf._calc_check_digits(text[:9])
    try:
        parse("cpf", text)
    except InvalidInput:
        good = False
    else:
        good = True
    assert good == (stdnum_cpf.is_valid(text) and len(set(text)) > 1)


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=12, max_size=12))
def test_a_generated_cnpj_has_one_value_in_every_spelling(stem: str) -> None:
    value = stem + stdnum_cnpj.calc_check_digits(stem)
    if len(set(value)) == 1 or stem == "0" * 12:
        return
    masked = f"{value[:2]}.{value[2:5]}.{value[5:8]}/{value[8:12]}-{value[12:]}"
    for spelling in (value, masked, value.lower(), masked.lower(), f" {value}\n"):
        assert parse("cnpj", spelling) == Identifier("cnpj", value)


@settings(deadline=None)  # the first call loads the numbering plan
@given(st.sampled_from(sorted(AREA_CODES)), st.integers(0, 99_999_999))
def test_every_mobile_that_is_taken_is_a_brazilian_one(ddd: str, number: int) -> None:
    tail = f"{number:08d}"
    try:
        value = parse("telefone", f"({ddd}) 9{tail[:4]}-{tail[4:]}").value
    except InvalidInput:
        return
    assert value == f"+55{ddd}9{tail}"
    assert phonenumbers.is_valid_number_for_region(phonenumbers.parse(value), "BR")


@settings(deadline=None)
@given(
    st.sampled_from(KINDS),
    st.text() | st.text("0123456789.-/()+ AaZ\n", max_size=34) | st.none() | st.integers(),
)
def test_nothing_raises_but_invalid_input_and_what_passes_passes_again(
    kind: Kind, raw: object
) -> None:
    try:
        identifier = parse(kind, raw)
    except InvalidInput:
        return
    assert parse(kind, identifier.value) == identifier


def test_an_identifier_does_not_show_its_value() -> None:
    identifier = parse("cpf", "111.444.777-35")
    assert repr(identifier) == str(identifier) == f"{identifier}" == "Identifier(cpf, ***)"
    assert "111" not in repr([identifier])


def test_there_are_four_kinds_and_67_area_codes_of_27_states() -> None:
    assert get_args(Kind) == KINDS == tuple(BAD)
    assert (len(AREA_CODES), len(set(AREA_CODES.values()))) == (67, 27)


def test_the_ninth_digit_tells_the_fiscal_region() -> None:
    assert fiscal_region("11144477735") == ("ES", "RJ")
    assert fiscal_region("12345678909") == ("PR", "SC")
    stems = [f"12345678{digit}00" for digit in range(10)]
    assert len([uf for stem in stems for uf in fiscal_region(stem)]) == 27
