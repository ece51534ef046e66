"""Turn one row of a foreign register into a license to issue, or say why it cannot be one. Pure.

Old registers hold old data: what a license needs is checked, what it merely carries (amounts, areas, free text) is
taken as it stands. Nothing is repaired: a wrong code is listed, never corrected.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from app.domain.authority import Area, Authority, ElementKind, LicenseType
from app.domain.holder_codes import MAX_ORGANISATION_CODE_LENGTH
from app.domain.import_batch import ELEMENT_PREFIX, ImportMap, SourceRow
from app.domain.issuing_rules import MAX_NAME_LENGTH, MAX_NUMBER_LENGTH
from app.domain.license import Holder, License, NewLicense, stored_number
from app.domain.texts import text_problem
from elicense.cn import normalize_code, uscc_problem
from elicense.encoding import canonical_json, sha256_hex

_LONG_TERM = frozenset({"长期", "永久", "长期有效", "永久有效", "无固定期限", "不约定期限", "9999-12-31"})
_TIME_OF_DAY = r"(?:[T ]+[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?"
_DATE_FORMS = tuple(
    re.compile(form + _TIME_OF_DAY)
    for form in (
        r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})",
        r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})",
        r"([0-9]{4})\.([0-9]{1,2})\.([0-9]{1,2})",
        r"([0-9]{4})年([0-9]{1,2})月([0-9]{1,2})日?",
        r"([0-9]{4})([0-9]{2})([0-9]{2})",
    )
)
_LONGEST_DATE = 64
_BREAKS = re.compile(r"[\t\n\x0b\x0c\r\x85\u2028\u2029]+")
_OLD_CODE = re.compile(r"[0-9]{15}")
_AREA_CODE = re.compile(r"[0-9]{6}")


class RowRefused(Exception):
    """Refuse a row: `code` is a key of IMPORT_REASONS, `field` one of our fields ('' for the row as a whole)."""

    def __init__(self, code: str, field: str) -> None:
        super().__init__(f"{code}: {field}")
        self.code = code
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRow:
    """A row that can be issued: the license, the digest (hex) that recognizes it, whether its area was replaced.

    `area_given` tells that the row itself named an area; otherwise the holder's or the authority's own stands in.
    `end_missing` tells that it is long-term only because it says nothing about an end.
    """

    row: SourceRow
    new: NewLicense
    digest: str
    area_replaced: bool
    area_given: bool
    end_missing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReader:
    """Read rows of one file for one authority and one license type."""

    mapping: ImportMap
    headers: Sequence[str]
    authority: Authority
    license_type: LicenseType
    areas: Mapping[str, Area]

    def read(self, row: SourceRow) -> PreparedRow:
        """Read one row. Raises RowRefused with the first thing that is wrong with it."""
        values = self._values(row)
        number, holder = _identity(values)
        valid_from, issue_date, valid_until = _dates(values)
        area_text = unicodedata.normalize("NFKC", values.get("area_code", "")).strip()
        area_code, replaced = self._area(area_text, holder)
        new = NewLicense(
            type_code=self.license_type.code,
            number=number,
            holder=holder,
            area_code=area_code,
            issue_date=issue_date,
            valid_from=valid_from,
            valid_until=valid_until,
            elements=self._elements(values),
            authority_code=self.authority.code,
        )
        return PreparedRow(
            row=row,
            new=new,
            digest=digest_of(new),
            area_replaced=replaced,
            area_given=self._given_area(area_text) is not None,
            end_missing=not values.get("valid_until", ""),
        )

    def _values(self, row: SourceRow) -> dict[str, str]:
        if not row.readable:
            raise RowRefused(row.fault, "")
        if any(cell.strip() for cell in row.cells[len(self.headers) :]):
            # More cells than headers: a comma in a cell has moved the rest, and every value is suspect.
            raise RowRefused("column_count", "")
        by_header: dict[str, str] = {}
        for header, cell in zip(self.headers, row.cells, strict=False):
            by_header.setdefault(header, cell)
        values = dict(self.mapping.constants)
        for field, header in self.mapping.columns.items():
            if header not in by_header:
                raise RowRefused("missing_column", field)
            text = _on_one_line(by_header[header])
            values[field] = "" if text in self.mapping.empty else text
        return values

    def _area(self, text: str, holder: Holder) -> tuple[str, bool]:
        """Find the area: as given, the nearest known one above it, by its name, the holder's, the authority's own.

        An area that cannot be read never refuses a row; that another one stands in for it is counted and reported.
        A known area outside the authority's scope is refused when the license is issued.
        """
        given = self._given_area(text)
        if given is not None:
            return given, bool(_AREA_CODE.fullmatch(text)) and given != text
        own = self._known(holder.code[2:8]) if holder.code_type == "001" else None
        if own is not None and self._in_scope(own):
            return own, bool(text)
        return self.authority.area_code, True

    def _given_area(self, text: str) -> str | None:
        if _AREA_CODE.fullmatch(text):
            known = self._known(text)
            if known is not None:
                return known
        return self._by_name(text) if text else None

    def _known(self, code: str) -> str | None:
        return next((c for c in (code, code[:4] + "00", code[:2] + "0000") if c in self.areas), None)

    def _by_name(self, text: str) -> str | None:
        found = [a.code for a in self.areas.values() if text.endswith(a.name) and self._in_scope(a.code)]
        return found[0] if len(found) == 1 else None

    def _in_scope(self, area_code: str) -> bool:
        scopes = [scope for scope in self.authority.scopes if scope.type_code == self.license_type.code]
        return any(area_code.startswith(prefix) for scope in scopes for prefix in scope.areas)

    def _elements(self, values: Mapping[str, str]) -> dict[str, str]:
        elements: dict[str, str] = {}
        for definition in self.license_type.elements:
            text = values.get(ELEMENT_PREFIX + definition.name, "")
            if not text:
                continue
            if len(text) > definition.max_length:
                raise RowRefused("too_long", ELEMENT_PREFIX + definition.name)
            if definition.kind is ElementKind.DATE:
                day = read_date(text)
                text = text if day is None else day.isoformat()
            elements[definition.name] = text
        return elements


def _on_one_line(text: str) -> str:
    """Join the lines of a cell with single spaces.

    Line breaks and tabs inside a cell come from how somebody typed it; a signed text has none.
    """
    text = text.strip()
    if _BREAKS.search(text) is None:
        return text
    return " ".join(line for piece in _BREAKS.split(text) if (line := piece.strip(" \u3000")))


def _identity(values: Mapping[str, str]) -> tuple[str, Holder]:
    number = stored_number(values.get("number", "")).strip()
    if not number:
        raise RowRefused("number_missing", "number")
    _require_text(number, "number", max_length=MAX_NUMBER_LENGTH)
    code_type = values.get("holder.code_type", "") or "001"
    code = _holder_code(values.get("holder.code", ""), code_type)
    name = values.get("holder.name", "")
    if not name:
        raise RowRefused("holder_name_missing", "holder.name")
    if len(name) > MAX_NAME_LENGTH:
        raise RowRefused("too_long", "holder.name")
    if number == values.get("holder.code", "").strip():
        number = code  # a business license's number is the USCC, in its normal form
    return number, Holder(code=code, code_type=code_type, name=name)


def _require_text(text: str, field: str, *, max_length: int) -> None:
    """Refuse what cannot be signed before the register is asked for it: a database may take it for no text at all."""
    if len(text) > max_length:
        raise RowRefused("too_long", field)
    if text_problem(text, max_length=max_length) is not None:
        raise RowRefused("text_invalid", field)


def _holder_code(text: str, code_type: str) -> str:
    if not text:
        raise RowRefused("holder_code_missing", "holder.code")
    if code_type != "001":
        other = unicodedata.normalize("NFKC", text).strip()
        _require_text(other, "holder.code", max_length=MAX_ORGANISATION_CODE_LENGTH)
        return other
    code = normalize_code(text)
    if _OLD_CODE.fullmatch(code):
        raise RowRefused("holder_code_old", "holder.code")
    if uscc_problem(code) is not None:
        raise RowRefused("holder_code_invalid", "holder.code")
    return code


def _dates(values: Mapping[str, str]) -> tuple[date, date, date | None]:
    """Return valid_from, issue_date, valid_until; of the first two, one may stand for both."""
    issued = _optional_date(values, "issue_date")
    begins = _optional_date(values, "valid_from")
    first = begins or issued
    if first is None:
        raise RowRefused("date_invalid", "issue_date" if "issue_date" in values else "valid_from")
    until_text = unicodedata.normalize("NFKC", values.get("valid_until", "")).strip()
    until = None if until_text in _LONG_TERM or not until_text else read_date(until_text)
    if until is None and until_text and until_text not in _LONG_TERM:
        raise RowRefused("date_invalid", "valid_until")
    if until is not None and until == date(9999, 12, 31):
        until = None
    if until is not None and until < first:
        raise RowRefused("dates_reversed", "valid_until")
    return first, issued or first, until


def _optional_date(values: Mapping[str, str], field: str) -> date | None:
    text = values.get(field, "")
    if not text:
        return None
    day = read_date(text)
    if day is None:
        raise RowRefused("date_invalid", field)
    return day


def read_date(text: str) -> date | None:
    """Read 2018-07-02, 2018/7/2, 2018.7.2, 2018年7月2日 or 20180702; a time of day behind is ignored; else None."""
    if len(text) > _LONGEST_DATE:
        return None
    folded = unicodedata.normalize("NFKC", text).strip()
    for form in _DATE_FORMS:
        found = form.fullmatch(folded)
        if found is not None:
            try:
                return date(int(found[1]), int(found[2]), int(found[3]))
            except ValueError:
                return None
    return None


def digest_of(row: NewLicense | License) -> str:
    """Return the digest (hex SHA-256) of what a row says; the same for a row and the license issued from it."""
    return sha256_hex(
        canonical_json(
            {
                "type_code": row.type_code,
                "number": row.number,
                "holder": [row.holder.code, row.holder.code_type, row.holder.name],
                "area_code": row.area_code,
                "issue_date": row.issue_date.isoformat(),
                "valid_from": row.valid_from.isoformat(),
                "valid_until": None if row.valid_until is None else row.valid_until.isoformat(),
                "elements": dict(row.elements),
                "authority_code": row.authority_code,
            }
        )
    )
