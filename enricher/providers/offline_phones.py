"""What a phone number tells by itself, without a call.

The numbering plan is that of the `phonenumbers` library; the states are Anatel's area codes
("Códigos Nacionais", Resolução 749/2022).
"""

from typing import Any, ClassVar, Final

import phonenumbers
from phonenumbers import PhoneNumberType

from enricher.failures import Rejected
from enricher.providers.base import Answer, Provider, Query
from shared.records import Phone, Phones

_AREAS: Final = {
    "AC": "68",
    "AL": "82",
    "AM": "92 97",
    "AP": "96",
    "BA": "71 73 74 75 77",
    "CE": "85 88",
    "DF": "61",
    "ES": "27 28",
    "GO": "62 64",
    "MA": "98 99",
    "MG": "31 32 33 34 35 37 38",
    "MS": "67",
    "MT": "65 66",
    "PA": "91 93 94",
    "PB": "83",
    "PE": "81 87",
    "PI": "86 89",
    "PR": "41 42 43 44 45 46",
    "RJ": "21 22 24",
    "RN": "84",
    "RO": "69",
    "RR": "95",
    "RS": "51 53 54 55",
    "SC": "47 48 49",
    "SE": "79",
    "SP": "11 12 13 14 15 16 17 18 19",
    "TO": "63",
}
STATES: Final = {code: state for state, codes in _AREAS.items() for code in codes.split()}
_TYPES: Final = {PhoneNumberType.MOBILE: "movel", PhoneNumberType.FIXED_LINE: "fixo"}


class OfflinePhones(Provider):
    name = "phonenumbers"
    serves: ClassVar = {("telefone", "telefone"): 10}

    @property
    def is_configured(self) -> bool:
        return True

    async def fetch(self, query: Query) -> Answer:
        record = phone(query.value)
        if record is None:
            raise Rejected("no number of the plan")
        return Answer(Phones(numbers=[record]))


def phone(value: Any) -> Phone | None:
    """The record of one Brazilian number in E.164, None if it is not one."""
    try:
        number = phonenumbers.parse(value if isinstance(value, str) else "")
    except phonenumbers.NumberParseException:
        return None
    if number.country_code != 55 or not phonenumbers.is_valid_number(number):
        return None
    # 0800 and its like have no area code.
    length = phonenumbers.length_of_geographical_area_code(number)
    area_code = phonenumbers.national_significant_number(number)[:length]
    return Phone(
        number=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        type=_TYPES.get(phonenumbers.number_type(number), "outro"),
        area_code=area_code,
        state=STATES.get(area_code),
    )
