"""What a code looks like that an organisation has under another type than it says: for holders of code type 099."""

import re
from datetime import date

from app.domain.texts import text_problem
from elicense.cn import CodeError, check_uscc, normalize_code, uscc_problem
from elicense.problems import Text

MAX_ORGANISATION_CODE_LENGTH = 64
_CITIZEN_ID = re.compile(r"[0-9]{6}([0-9]{4})([0-9]{2})([0-9]{2})[0-9]{3}[0-9X]")
_CITIZEN_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_USCC_SHAPE = re.compile(r"[0-9A-Z]{2}[0-9]{6}[0-9A-Z]{10}")


def is_citizen_id(code: str) -> bool:
    """Tell whether a code in normal form is a citizen's ID (GB 11643), by its day of birth and check character."""
    found = _CITIZEN_ID.fullmatch(code)
    if found is None:
        return False
    try:
        date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(code, _CITIZEN_WEIGHTS, strict=False))
    return code[17] == "10X98765432"[total % 11]


def other_code_problem(text: str) -> Text | None:
    """Return why a code is none of another organisation (099), or None.

    A citizen's ID is a natural person's, and a code of the form of a social credit code is registered as one (001), or
    its check would be passed by.
    """
    code = normalize_code(text)
    if is_citizen_id(code):
        return Text(
            "公民身份号码不得作为机构代码:暂不登记自然人持证主体",
            "is a citizen's ID: natural persons are not registered as holders yet",
        )
    if _USCC_SHAPE.fullmatch(code) is None:
        return None
    use = Text(
        "形如统一社会信用代码,代码类型应为 001", "has the form of a social credit code: its code type is 001"
    )
    try:
        check_uscc(code)
    except CodeError as error:
        return Text(f"{use.zh};{error.message.zh}", f"{use.en}. {error.message.en}")
    return use


def any_code_problem(text: str) -> Text | None:
    """Return why no holder of a license can have this code, under whichever type, or None."""
    if uscc_problem(normalize_code(text)) is None:
        return None
    return other_code_problem(text) or text_problem(text, max_length=MAX_ORGANISATION_CODE_LENGTH)
