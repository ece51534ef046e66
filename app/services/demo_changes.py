"""What the demonstration's licenses become in their next version: for each always the same, all of it invented."""

from datetime import timedelta

from app.domain.amending import Amendment, Renewal
from app.domain.license import NewLicense
from app.services.demo_draw import Draw

_SURNAMES = "吴郑王冯陈褚卫蒋沈韩"
_GIVEN = ("样甲", "样乙", "样丙", "样丁", "样戊", "样己")  # "specimen": nobody is called that
_STREETS = ("变更路", "迁址街", "新址大道")
_RENEWED_FOR = timedelta(days=5 * 365)


def demo_amendment(new: NewLicense) -> Amendment:
    """Return the move to another address under another representative."""
    draw = Draw(f"amendment|{new.type_code}|{new.number}")
    return Amendment(
        elements={
            "address": f"江苏省(演示){draw.one_of(_STREETS)}{draw.between(1, 399)}号",
            "legal_representative": draw.one_of(_SURNAMES) + draw.one_of(_GIVEN),
        }
    )


def demo_renewal(new: NewLicense) -> Renewal:
    """Return a renewal for five more years; long-term stays long-term."""
    return Renewal(valid_until=None if new.valid_until is None else new.valid_until + _RENEWED_FOR)
