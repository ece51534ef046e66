"""Fold a business scope (经营范围) to its items in one order, each under its heading (`许可项目:`), none left out.

Where it cannot be told for certain which items there are, or under which heading they stand, the order counts: whoever
may choose the order could otherwise move goods from one activity, or from one heading, to another.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise

from elicense.element_text import fold_han, is_same_text

_ENDS = ";；。｡."
_COMMAS = ",、，"
"""What parts the items of some scopes, and in others only the goods of one item: `食品、服装批发;药品零售`."""
_SEPARATORS = frozenset(_ENDS + _COMMAS)
_DIGITS = frozenset("0123456789")
_INNER = str.maketrans({"、": ",", "，": ",", ";": ",", "；": ",", "。": ",", "｡": ","})
_HEADING = re.compile(r"(?:前置|后置|非)?(?:许可|一般)(?:经营)?(?:项目|事项):")
_COLON = re.compile(r":(?![0-9])|(?<![0-9]):")
_ACTIVITY = (
    "(?:销售|零售|批发|批零|购销|买卖|经营|经销|服务|生产|加工|制造|制作|开发|研发|设计|施工|安装|维修|修理|租赁|代理|咨询"
    "|进出口|出口|进口|运输|仓储|配送|种植|养殖|管理|培训|策划|承包|收购|回收|推广|贸易)"
)
_ENDS_WITH_ACTIVITY = re.compile(rf"{_ACTIVITY}(?:\([^()]*\))*$")
_BEGINS_WITH_ACTIVITY = re.compile(_ACTIVITY)

_Item = tuple[str, str, str]
"""Heading, text and the separator behind it."""


def fold_scope(text: str) -> str:
    """Fold a scope: as `fold_han`, its items in one order; separators inside brackets do not part items.

    Two scopes fold to one text only when they have the same items, each as often, under the same headings.
    """
    folded = fold_han(text)
    return _fold(folded, _read(folded), _certain_items)


def same_scope(one: str, other: str) -> bool:
    """Tell whether two scopes have the same items under the same headings.

    Where one of them parts its items by `;` and `。` alone, it tells which there are, however the other parts them.
    """
    first, second = fold_han(one), fold_han(other)
    items, other_items = _read(first), _read(second)
    if is_same_text(_fold(first, items, _certain_items), _fold(second, other_items, _certain_items)):
        return True
    if not (_are_certain(items) or _are_certain(other_items)):
        return False
    return is_same_text(_fold(first, items, _all_items), _fold(second, other_items, _all_items))


def _fold(folded: str, items: list[_Item] | None, part: Callable[[list[_Item]], Iterable[str]]) -> str:
    if items is None:
        return folded.translate(_INNER)
    told: list[tuple[str, str]] = []
    for heading, run in groupby(items, key=lambda item: item[0]):
        told += [(heading, item) for item in part(list(run))]
    return ";".join(heading + item for heading, item in sorted(told))


def _read(folded: str) -> list[_Item] | None:
    """Read the items; None where nobody can say which there are."""
    if not _is_balanced(folded):
        return None
    items = list(_under_headings(_parts(folded)))
    # A colon that is left belongs to a heading of its own kind: what stands under it is anybody's guess.
    return None if any(_COLON.search(item) for _, item, _ in items) else items


def _are_certain(items: list[_Item] | None) -> bool:
    return items is not None and all(separator not in _COMMAS for _, _, separator in items)


def _all_items(run: list[_Item]) -> Iterator[str]:
    return (item for _, item, _ in run)


def _certain_items(run: list[_Item]) -> Iterator[str]:
    """Give the items under one heading; commas part them only where each side is whole by itself."""
    commas_part = not any(
        separator in _COMMAS and _may_belong_together(one, other)
        for (_, one, separator), (_, other, _) in pairwise(run)
    )
    joined = ""
    for place, (_, item, separator) in enumerate(run):
        joined += item
        if separator not in _COMMAS or commas_part or place == len(run) - 1:
            yield joined
            joined = ""
        else:
            joined += ","


def _may_belong_together(one: str, other: str) -> bool:
    """Tell whether two neighbors may share one activity, as in `食品、服装批发` or `批发食品、服装`."""
    is_whole = _ENDS_WITH_ACTIVITY.search(other) is not None
    if is_whole and _ENDS_WITH_ACTIVITY.search(one) is None:
        return True
    begins = _BEGINS_WITH_ACTIVITY.match(other) is not None
    return _BEGINS_WITH_ACTIVITY.match(one) is not None and not begins and not is_whole


def _under_headings(parts: Iterator[tuple[str, str]]) -> Iterator[_Item]:
    """Put each item under its heading; a heading without items stays as an item without text."""
    heading, used = "", True
    for part, separator in parts:
        item = part
        colon = _COLON.search(part)
        if colon is not None and "(" not in part[: colon.start()]:
            if not used:
                yield heading, "", ";"
            heading, item, used = part[: colon.end()], part[colon.end() :], False
        if item:
            yield heading, item, separator
            used = True
    if not used:
        yield heading, "", ";"


def _parts(folded: str) -> Iterator[tuple[str, str]]:
    """Part a scope at its separators and before its headings, each part with the separator behind it."""
    begins = {found.start() for found in _HEADING.finditer(folded)}
    current: list[str] = []
    depth = 0
    for place, character in enumerate(folded):
        depth += (character == "(") - (character == ")")
        is_separator = depth == 0 and _parts_items(folded, place)
        if current and (is_separator or (depth == 0 and place in begins)):
            yield "".join(current), character if is_separator else ";"
            current = []
        if not is_separator:
            current.append(character.translate(_INNER))
    if current:
        yield "".join(current), ";"


def _parts_items(text: str, place: int) -> bool:
    """Tell whether a character ends an item: a point or comma between two digits belongs to a number."""
    if text[place] not in _SEPARATORS:
        return False
    return not (
        text[place] in ".,"
        and 0 < place < len(text) - 1
        and text[place - 1] in _DIGITS
        and text[place + 1] in _DIGITS
    )


def _is_balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0
