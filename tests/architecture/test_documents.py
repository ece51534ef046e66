"""Documents that cannot rot: both README files show the same examples, every setting, every route, every file."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app.adapters.setup_files import read_setup_file
from app.main import create_app
from app.settings import load_settings, unknown_variables
from elicense.cn import check_uscc
from tests.architecture.source import ROOT, logged_events, project_files, python_files
from tests.readme import CHECKING, NAMES, examples

LINK = re.compile(r"\[[^\]]*\]\((?!https?://|#)([^)#\s]+)")
BILINGUAL = ("README", "app/OPERATING", "keys/README")
"""Documents of which the Chinese one stands beside the English one, equal in rank."""
OPERATING = ("app/OPERATING.md", "app/OPERATING.zh-CN.md")
ALARMING = ("warning", "error", "exception", "critical")
UNDOCUMENTED = {"/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"}
"""Parts of the page /docs, which is documented."""


class Recorder(Mapping[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def settings_read() -> set[str]:
    recorder = Recorder()
    load_settings(environ=recorder, issuer_url="https://x.example")
    load_settings(environ=recorder, default_environment="development")
    return recorder.asked


def test_no_variable_that_is_read_counts_as_misspelled() -> None:
    assert unknown_variables(dict.fromkeys(settings_read(), "")) == ()


def routes_served() -> set[str]:
    settings = load_settings(environ={}, environment="development")
    found = {
        f"{method} {getattr(route, 'path_format', '') or getattr(route, 'path', '')}"
        for route in create_app(settings).routes
        for method in getattr(route, "methods", None) or ()
        if method != "HEAD" and getattr(route, "path", "") not in UNDOCUMENTED
    }
    return found


def missing_from(text: str, wanted: set[str]) -> list[str]:
    """Return what does not stand in the text as code of its own."""
    return sorted(one for one in wanted if f"`{one}`" not in text)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_documented(name: str) -> None:
    assert "ELICENSE_ISSUER_URL" in settings_read()
    assert missing_from(read(name), settings_read()) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_route_is_documented(name: str) -> None:
    assert "POST /v1/verifications" in routes_served()
    assert missing_from(read(name), routes_served()) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_documented_route_is_missing(name: str) -> None:
    documented = set(re.findall(r"`((?:GET|POST) /[^`\s]*)`", read(name)))
    assert documented - routes_served() == set()


def test_the_search_catches_what_is_planted() -> None:
    assert missing_from("`A` and B", {"A", "B"}) == ["B"]


@pytest.mark.parametrize("names", [NAMES, CHECKING], ids=["README", "CHECKING"])
def test_both_languages_show_the_same_examples(names: tuple[str, str]) -> None:
    first, second = (
        [(example.language, example.bare) for example in examples(name, "bash", "sh", "python", "toml")]
        for name in names
    )
    assert first == second != []


@pytest.mark.parametrize("name", NAMES)
def test_how_the_python_examples_are_run_stands_beside_the_first(name: str) -> None:
    before, _, after = read(name).partition("```python\n")
    assert "`uv run python`" in before.split("```")[-1]
    assert "`uv run python`" not in after, "once is enough"


@pytest.mark.parametrize("name", NAMES)
def test_the_setup_example_can_be_applied(name: str, tmp_path: Path) -> None:
    (example,) = examples(name, "toml")
    (tmp_path / "setup.toml").write_text(example.text, encoding="utf-8")
    plan = read_setup_file(tmp_path / "setup.toml")
    assert [check_uscc(authority.code) for authority in plan.authorities] == ["11320100MA0T90010A"]
    assert len(plan.license_types) == len(plan.areas) == 1


@pytest.mark.parametrize("name", OPERATING)
def test_every_event_that_asks_for_an_operator_is_explained(name: str) -> None:
    alarming = {event for _, text in python_files("app") for event in logged_events(text, *ALARMING)}
    assert {"unknown_checkpoint_witnessed", "storage_failed", "duty_broke"} < alarming
    assert missing_from(read(name), alarming) == []


@pytest.mark.parametrize("name", OPERATING)
def test_no_explained_event_is_one_that_is_never_logged(name: str) -> None:
    logged = {event for _, text in python_files("app") for event in logged_events(text, "info", *ALARMING)}
    _, _, table = read(name).partition("`unexpected_error`")
    named = {event for row in table.splitlines() for event in re.findall(r"`([a-z_]+)`", row.split(" | ")[0])}
    assert named - logged == set()


def outline(name: str) -> tuple[set[str], int, int]:
    """Return what a document names as code, but for placeholders in its language, and how it is divided."""
    text = re.sub(r"^```.*?^```$", "", read(name), flags=re.MULTILINE | re.DOTALL)
    named = {" ".join(one.split()) for one in re.findall(r"`([^`]+)`", text)}
    spoken = {one for one in named if re.search("[<\u4e00-\u9fff]", one)}
    headings, rows = (len(re.findall(mark, text, re.MULTILINE)) for mark in (r"^#+ ", r"^\|"))
    return named - spoken, headings, rows


@pytest.mark.parametrize("name", BILINGUAL)
def test_both_languages_name_the_same_commands_settings_codes_and_files(name: str) -> None:
    assert outline(f"{name}.zh-CN.md") == outline(f"{name}.md")


def broken_links(name: str) -> list[str]:
    folder = (ROOT / name).parent
    return [target for target in LINK.findall(read(name)) if not (folder / target).exists()]


@pytest.mark.parametrize("name", [name for name in project_files() if name.endswith(".md")])
def test_links_between_documents_lead_somewhere(name: str) -> None:
    assert broken_links(name) == []


def test_the_pins_cover_what_the_image_installs() -> None:
    """The hashed list for the image names the very versions that the tests run with."""
    pins = set(tomllib.loads(read("pyproject.toml"))["tool"]["uv"]["constraint-dependencies"])
    listed = set(re.findall(r"^([a-z0-9-]+==\S+)", read("requirements.txt"), re.MULTILINE))
    assert listed - pins == set()
    assert "--hash=sha256:" in read("requirements.txt")
