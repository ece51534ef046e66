"""Make frozen dataclass instances quickly, for the values that every verification builds.

A frozen dataclass sets each field through `object.__setattr__`, about 140 ns a field; a credential
has forty fields, which is a tenth of a signature check. The constructor made here sets the slots
directly and hands out instances that are as frozen as any other.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar, cast

Record = TypeVar("Record")
Fields = ParamSpec("Fields")


def quick_constructor(constructor: Callable[Fields, Record]) -> Callable[Fields, Record]:
    """Return a function that builds the same instances as the class `constructor`, but faster.

    The class must be a frozen slotted dataclass without `__post_init__`. Defaults are not applied:
    a caller gives every field, by name; TypeError otherwise.
    """
    cls = cast("type[Any]", constructor)
    names = [field.name for field in fields(cls)]
    # An instance starts as a subclass of the same layout that may be written, and becomes a `cls`
    # before anybody sees it.
    draft = type(
        f"_{cls.__name__}Draft",
        (cls,),
        {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__},
    )
    # A function of its own, as dataclasses does: a loop over the fields would cost what it saves.
    lines = [
        f"def build({', '.join(names)}):",
        " made = new(draft)",
        *(f" made.{name} = {name}" for name in names),
        " made.__class__ = cls",
        " return made",
    ]
    scope: dict[str, Any] = {"new": cls.__new__, "draft": draft, "cls": cls}
    exec("\n".join(lines), scope)  # noqa: S102  # field names of our own classes, no outside text
    return cast("Callable[Fields, Record]", scope["build"])
