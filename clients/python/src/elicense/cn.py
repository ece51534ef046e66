"""Chinese codes: the unified social credit code, the organisation code and the license identifier.

A code with right check characters is well-formed. That says nothing about whether it is registered
or its holder active: those are other questions.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from elicense.encoding import malformed
from elicense.problems import Text

USCC_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_LENGTH: Final = 18
IDENTIFIER_ROOT: Final = "1.2.156.3005.2"
MAX_IDENTIFIER_LENGTH: Final = 256

_USCC_VALUES = {character: value for value, character in enumerate(USCC_ALPHABET)}
_USCC_WEIGHTS = tuple(pow(3, position, 31) for position in range(17))
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ALPHABET36 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VALUES36 = {character: value for value, character in enumerate(_ALPHABET36)}
_CONFUSABLE = {"I": "1", "O": "0", "S": "5", "Z": "2", "V": "U"}
_MAX_INPUT = 128
# White space and every dash that NFKC leaves apart from the plain hyphen, plus invisible marks
# that copying from documents brings along.
_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015\u2212\u200b-\u200d\u2060\ufeff]+")
_IDENTIFIER = re.compile(
    r"1\.2\.156\.3005\.2\.([0-9A-Z]{1,64})\.([0-9A-Z]{1,64})\.([0-9A-Z]{1,64})\.([0-9]{3})\.([0-9A-Z])"
)
_TYPE_CODE = re.compile(r"[0-9A-Z]{18}[0-9]{3}")
_PART = re.compile(r"[0-9A-Z]{1,64}")
_VERSION = re.compile(r"(?!000)[0-9]{3}")


class CodeProblem(StrEnum):
    """Name what is wrong with a unified social credit code."""

    LENGTH = "length"
    CHARACTER = "character"
    CONFUSABLE = "confusable"
    ORGANISATION_CHECK = "organisation_check"
    CHECK = "check"


class CodeError(ValueError):
    """Refuse a code that is not well-formed; `message` says why without repeating the code."""

    def __init__(self, problem: CodeProblem, message: Text) -> None:
        super().__init__(message.en)
        self.problem = problem
        self.message = message


def normalize_code(text: str) -> str:
    """Return a typed code in its written form: NFKC, without spaces and hyphens, upper case."""
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", text)).upper()


def uscc_check_character(first17: str) -> str:
    """Return character 18 for the first 17 of a code (GB 32100-2015).

    Raises KeyError for a character outside the alphabet.
    """
    total = sum(
        _USCC_VALUES[character] * weight for character, weight in zip(first17, _USCC_WEIGHTS, strict=True)
    )
    # The last "% 31" matters: without it every code whose sum is a multiple of 31 is refused.
    return USCC_ALPHABET[(31 - total % 31) % 31]


def organisation_check_character(first8: str) -> str:
    """Return the check character of an organisation code for its first 8 (GB 11714-1997).

    Raises KeyError for anything but digits and upper-case letters.
    """
    total = sum(
        _VALUES36[character] * weight for character, weight in zip(first8, _ORGANISATION_WEIGHTS, strict=True)
    )
    return "0123456789X0"[11 - total % 11]


def check_uscc(text: str) -> str:
    """Return a unified social credit code in its written form, or raise CodeError.

    Checks length, alphabet, the digits of the area code, and both check characters (17 and 18).
    """
    if len(text) > _MAX_INPUT:
        raise _length_error()
    code = normalize_code(text)
    if len(code) != USCC_LENGTH:
        raise _length_error()
    for position, character in enumerate(code, start=1):
        _check_character(position, character)
    if organisation_check_character(code[8:16]) != code[16]:
        raise CodeError(
            CodeProblem.ORGANISATION_CHECK,
            Text(
                "统一社会信用代码第 9-17 位(组织机构代码)校验不正确,请核对。",
                "Positions 9 to 17 (organization code) of the unified social credit code fail their check.",
            ),
        )
    if uscc_check_character(code[:17]) != code[17]:
        raise CodeError(
            CodeProblem.CHECK,
            Text(
                "统一社会信用代码第 18 位校验不正确,请核对。",
                "Position 18 of the unified social credit code fails its check.",
            ),
        )
    return code


def _length_error() -> CodeError:
    return CodeError(
        CodeProblem.LENGTH,
        Text("统一社会信用代码应为 18 位。", "A unified social credit code has 18 characters."),
    )


def _check_character(position: int, character: str) -> None:
    if character in _CONFUSABLE:
        raise CodeError(
            CodeProblem.CONFUSABLE,
            Text(
                f"第 {position} 位是字母 {character},统一社会信用代码不使用 I、O、S、V、Z;"
                f"是否为 {_CONFUSABLE[character]}?",
                f"Position {position} is the letter {character}; these codes never use I, O, S, V or Z. "
                f"Is it {_CONFUSABLE[character]}?",
            ),
        )
    if character not in _USCC_VALUES or (3 <= position <= 8 and character not in "0123456789"):
        raise CodeError(
            CodeProblem.CHARACTER,
            Text(
                f"第 {position} 位不是统一社会信用代码允许的字符。",
                f"Position {position} is not a character this code may have there.",
            ),
        )


def uscc_problem(text: str) -> CodeProblem | None:
    """Return what is wrong with a unified social credit code, or None if it is well-formed."""
    try:
        check_uscc(text)
    except CodeError as error:
        return error.problem
    return None


def make_uscc(department: str, kind: str, area: str, org8: str) -> str:
    """Build a code with both check characters right, for invented demonstration data.

    `department` and `kind` are one character each, `area` six digits, `org8` the organisation
    code's first 8. Raises CodeError if the parts do not make a well-formed code.
    """
    if len(department) != 1 or len(kind) != 1 or len(area) != 6 or len(org8) != 8:
        raise _length_error()
    for position, character in enumerate(department + kind + area + org8, start=1):
        _check_character(position, character)
    first17 = department + kind + area + org8 + organisation_check_character(org8)
    return check_uscc(first17 + uscc_check_character(first17))


def mod37_36(text: str) -> str:
    """Return the ISO/IEC 7064 MOD 37,36 check character of digits and upper-case letters.

    Raises KeyError for any other character.
    """
    product = 36
    for character in text:
        product = ((product + _VALUES36[character]) % 36 or 36) * 2 % 37
    return _ALPHABET36[(37 - product) % 36]


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseIdentifier:
    """Hold the parts of a license identifier (GB/T 36904)."""

    type_code: str
    authority_code: str
    serial: str
    version: str
    check: str

    @classmethod
    def make(
        cls, *, type_code: str, authority_code: str, serial: str, version: str | int
    ) -> "LicenseIdentifier":
        """Build an identifier with its check character; issue strictly.

        `type_code` is 21 characters, `version` three digits from 001 (or 1 to 999). Raises
        FormatError (malformed) for parts of another form.
        """
        written = f"{version:03d}" if isinstance(version, int) else version
        if not _TYPE_CODE.fullmatch(type_code):
            raise malformed("type code must be 18 characters and 3 digits")
        if not _PART.fullmatch(authority_code) or not _PART.fullmatch(serial):
            raise malformed("identifier parts hold digits and upper-case letters alone")
        if not _VERSION.fullmatch(written):
            raise malformed("version must be three digits from 001")
        return cls(
            type_code=type_code,
            authority_code=authority_code,
            serial=serial,
            version=written,
            check=mod37_36(type_code + authority_code + serial + written),
        )

    @property
    def text(self) -> str:
        """Return the identifier as it is written, with dots and the root."""
        parts = (self.type_code, self.authority_code, self.serial, self.version, self.check)
        return f"{IDENTIFIER_ROOT}.{'.'.join(parts)}"

    @property
    def check_is_right(self) -> bool:
        """Return whether the check character fits; identifiers from elsewhere are often wrong."""
        return mod37_36(self.type_code + self.authority_code + self.serial + self.version) == self.check


def parse_identifier(text: str) -> LicenseIdentifier:
    """Split a license identifier at its dots, never by width.

    A wrong check character is left to the caller (`check_is_right`); any other form is refused
    with FormatError (malformed).
    """
    match = _IDENTIFIER.fullmatch(text) if len(text) <= MAX_IDENTIFIER_LENGTH else None
    if match is None:
        raise malformed("text is not a license identifier")
    type_code, authority_code, serial, version, check = match.groups()
    return LicenseIdentifier(
        type_code=type_code, authority_code=authority_code, serial=serial, version=version, check=check
    )
