"""Settings: where they come from, and that every problem is told at once."""

from pathlib import Path

import pytest

from app.settings import SettingsError, load_settings


def test_everything_follows_from_the_data_folder(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, environ={}, default_environment="development")
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path / 'elicense.db'}"
    assert (settings.keys_dir, settings.root_keys_dir) == (tmp_path / "keys", tmp_path / "keys" / "root")
    assert settings.token_env == "test"


def test_production_is_the_default_and_knows_no_issuer_url(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, environ={})
    assert (settings.environment, settings.token_env, settings.issuer_url) == ("production", "live", None)


def test_arguments_go_before_variables_and_none_is_no_argument(tmp_path: Path) -> None:
    environ = {"ELICENSE_PORT": "9000", "ELICENSE_HOST": "0.0.0.0", "ELICENSE_ENV": "development"}
    settings = load_settings(tmp_path, environ=environ, port=9001, host=None)
    assert (settings.port, settings.host, settings.environment) == (9001, "0.0.0.0", "development")


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    environ = {
        "ELICENSE_ENV": "staging",
        "ELICENSE_PORT": "٣",
        "ELICENSE_DATABASE_URL": "mysql://x",
        "ELICENSE_ISSUER_URL": "http://x.example/path",
        "ELICENSE_LOG_LEVEL": "loud",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, environ=environ, colour="red")
    named = " ".join(caught.value.problems)
    assert len(caught.value.problems) == 6
    for name in ("ENV", "PORT", "DATABASE_URL", "ISSUER_URL", "LOG_LEVEL", "colour"):
        assert name in named


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example",
        "https://",
        "https://a.example/",
        "https://a.example?x",
        "https://a.example#x",
        "https://u@a.example",
        "https://a.example:99999",
        "https://证照.example",
    ],
)
def test_an_issuer_url_is_https_and_nothing_but_a_host(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="ELICENSE_ISSUER_URL"):
        load_settings(tmp_path, environ={"ELICENSE_ISSUER_URL": url})


def test_what_is_shown_holds_no_password(tmp_path: Path) -> None:
    environ = {"ELICENSE_DATABASE_URL": "postgresql+asyncpg://user:hunter2@db/x"}
    shown = load_settings(tmp_path, environ=environ).describe()
    assert shown["database_url"] == "postgresql+asyncpg://user:***@db/x"
    assert "hunter2" not in str(shown)
