"""What a phone number tells by itself, without a call.

The numbering plan is that of the `phonenumbers` library.
"""

from typing import Any, ClassVar, Final

import phonenumbers
from phonenumbers import PhoneNumberType

from enricher.failures import Rejected
from enricher.providers.base import Answer, Provider, Query
from shared.domain.area_codes import AREA_CODES
from shared.records import Phone, Phones

_GEOGRAPHICAL: Final = {
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,
}
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
    if number.country_code != 55:
        return None
    # One walk through the plan's patterns says all of it: whether it is valid, what it is, and by
    # that whether it begins with an area code, which 0800 and its like do not.
    kind = phonenumbers.number_type(number)
    if kind == PhoneNumberType.UNKNOWN:
        return None
    national = phonenumbers.national_significant_number(number)
    area_code = national[:2] if kind in _GEOGRAPHICAL else ""
    return Phone(
        number=f"+55{national}",
        type=_TYPES.get(kind, "outro"),
        area_code=area_code,
        state=AREA_CODES.get(area_code),
    )
