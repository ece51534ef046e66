"""Tell whether two ways of writing an element's value say the same, by the element's kind.

Pure and total: any two texts have an answer, nothing is raised. Two values that differ in what they say never count as
the same; where a value cannot be read with certainty, only the same text does.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from elicense.element_address import fold_address, same_address
from elicense.element_kinds import ElementKind
from elicense.element_numbers import fold_amount, fold_date
from elicense.element_scope import fold_scope, same_scope
from elicense.element_text import (
    fold_code,
    fold_name,
    fold_person_name,
    fold_text,
    foldable_length,
    is_same_text,
)

_TIMES_LONGER, _AND_CHARACTERS = 3, 256

_FOLDS: Mapping[ElementKind, Callable[[str], str]] = MappingProxyType(
    {
        ElementKind.TEXT: fold_text,
        ElementKind.NAME: fold_name,
        ElementKind.PERSON_NAME: fold_person_name,
        ElementKind.CODE: fold_code,
        ElementKind.DATE: fold_date,
        ElementKind.AMOUNT: fold_amount,
        ElementKind.ADDRESS: fold_address,
        ElementKind.SCOPE: fold_scope,
    }
)


def is_same_value(one: str, other: str, kind: ElementKind) -> bool:
    """Tell whether two values say the same after the folding of their kind.

    Values whose lengths lie far apart say different things, and nobody's long text is folded to find that out.
    """
    if _lie_far_apart(len(one), len(other)):
        return is_same_text(one, other)
    length, other_length = foldable_length(one), foldable_length(other)
    if length is None or other_length is None or _lie_far_apart(length, other_length):
        return is_same_text(one, other)
    if kind is ElementKind.ADDRESS:
        return same_address(one, other)
    if kind is ElementKind.SCOPE:
        return same_scope(one, other)
    return is_same_text(_FOLDS[kind](one), _FOLDS[kind](other))


def _lie_far_apart(length: int, other: int) -> bool:
    return max(length, other) > _TIMES_LONGER * min(length, other) + _AND_CHARACTERS
