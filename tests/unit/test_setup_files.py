"""Setup files: read strictly, every problem named at once."""

from datetime import date
from pathlib import Path

import pytest

from app.adapters.setup_files import SetupFileError, read_setup_file
from app.domain.authority import AuthorityStatus, ElementKind, SetupPlan
from elicense.cn import make_uscc

CODE = make_uscc("1", "1", "320100", "MA0T0001")
GOOD = f"""
[[areas]]
code = "320100"
name = "南京市"

[[license_types]]
code = "11100000MB0143028R001"
name = "营业执照"
name_en = "Business license"
defining_authority = "11100000MB0143028R"
[[license_types.elements]]
name = "address"
label = "住所"
label_en = "address"
kind = "address"
max_length = 300

[[authorities]]
code = "{CODE}"
name = "南京市样例局"
level = "city"
area_code = "320100"
[[authorities.scopes]]
type_code = "11100000MB0143028R001"
areas = ["3201"]
valid_from = 2026-01-01
"""


def read(folder: Path, text: str) -> SetupPlan:
    path = folder / "setup.toml"
    path.write_text(text, encoding="utf-8")
    return read_setup_file(path)


def test_definitions_are_read(tmp_path: Path) -> None:
    plan = read(tmp_path, GOOD)
    assert [area.name for area in plan.areas] == ["南京市"]
    (kind,) = plan.license_types
    assert kind.elements[0].kind is ElementKind.ADDRESS
    assert not kind.elements[0].required
    assert kind.two_person == ()
    (authority,) = plan.authorities
    assert authority.status is AuthorityStatus.ACTIVE
    assert authority.scopes[0].valid_from == date(2026, 1, 1)


def test_an_element_without_a_kind_has_that_of_its_well_known_name(tmp_path: Path) -> None:
    (kind,) = read(tmp_path, GOOD.replace('kind = "address"\n', "")).license_types
    assert kind.elements[0].kind is ElementKind.ADDRESS
    (kind,) = read(
        tmp_path, GOOD.replace('kind = "address"\n', "").replace('name = "address"', 'name = "x"')
    ).license_types
    assert kind.elements[0].kind is ElementKind.TEXT


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('code = "320100"\nname', 'code = "3201"\nname', "areas[1].code"),
        ('kind = "address"', 'kind = "adress"', "elements[1].kind"),
        (CODE, CODE[:-1] + ("0" if CODE[-1] != "0" else "1"), "authorities[1].code"),
        ("028R001", "028R01", "license_types[1].code"),
        ('level = "city"', 'level = "town"', "authorities[1].level"),
        ('areas = ["3201"]', "areas = []", "scopes[1].areas"),
        ("valid_from = 2026-01-01", 'valid_from = "soon"', "scopes[1].valid_from"),
        ("max_length = 300", "max_length = true", "max_length"),
        ('name = "address"', 'name = "valid_until"', "elements[1].name"),
        ('label = "住所"', 'label = "住所"\ncolour = "red"', "colour"),
        ("[[areas]]", "[areas]", "areas"),
        ('name = "营业执照"', 'name = "营业执照"\ntwo_person = ["revok"]', "license_types[1].two_person"),
        ('name = "营业执照"', 'name = "营业执照"\ntwo_person = "revoke"', "license_types[1].two_person"),
    ],
)
def test_each_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, named: str) -> None:
    with pytest.raises(SetupFileError) as refusal:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert named in str(refusal.value)


def test_orders_that_need_two_persons_are_read_in_one_order_however_they_are_written(tmp_path: Path) -> None:
    for written in ('["cancel", "revoke"]', '["revoke", "cancel", "revoke"]'):
        two_person = f'name = "营业执照"\ntwo_person = {written}'
        (kind,) = read(tmp_path, GOOD.replace('name = "营业执照"', two_person)).license_types
        assert kind.two_person == ("revoke", "cancel")


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SetupFileError) as refusal:
        read(tmp_path, GOOD.replace('name = "南京市"', "name = 3").replace('"city"', '"x"') + "\n[other]\n")
    assert len(refusal.value.problems) == 3


def test_a_code_defined_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupFileError, match="320100"):
        read(tmp_path, GOOD + '\n[[areas]]\ncode = "320100"\nname = "另"\n')


def test_what_is_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupFileError, match="TOML"):
        read(tmp_path, "not toml")


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 3000, "x = " + "{a=" * 3000, ".".join("a" * 3000) + " = 1\n"]
)
def test_what_is_nested_too_deeply_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SetupFileError):
        read(tmp_path, text)


def test_types_that_state_no_schema_version_are_named(tmp_path: Path) -> None:
    (kind,) = read(tmp_path, GOOD).license_types
    stated = GOOD.replace("[[license_types]]", "[[license_types]]\nschema_version = 3", 1)
    assert read(tmp_path, GOOD).unversioned == {kind.code}
    assert read(tmp_path, stated).unversioned == frozenset()
    assert read(tmp_path, stated).license_types[0].schema_version == 3
