"""Settings: where they come from, and that every problem is told at once."""

from pathlib import Path

import pytest

from app.database_url import mask_password
from app.settings import SettingsError, load_settings, unknown_variables


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


PG = "postgresql+asyncpg://"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (PG + "user@db/x", PG + "user@db/x"),
        (PG + "db:5432/x", PG + "db:5432/x"),
        (PG + "u:S3cr/et@h/db", PG + "u:***@h/db"),
        (PG + "u:p@ss/w#rd@h/db", PG + "u:***@h/db"),
        (PG + "u:p?a=b@h/db", PG + "u:***@h/db"),
        (PG + "u ser:pw@h/db", PG + "***@h/db"),
        (PG + "h/db?user=x&password=pw", PG + "h/db?user=x&password=***"),
        (PG + "h:p/db?user=x&password=pw", PG + "h:p/db?user=x&password=***"),
        (PG + "h/db?passwd=pw&schema=s&pw", PG + "h/db?***&schema=s&***"),
        (PG + "u@h/db?password=p@w", PG + "***@w"),
        ("sqlite+aiosqlite:////srv/a@b/x.db", "sqlite+aiosqlite:////srv/a@b/x.db"),
    ],
)
def test_a_password_is_masked_wherever_it_stands(url: str, shown: str) -> None:
    assert mask_password(url) == shown


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (PG + "u@127.0.0.1:port/x", "port"),
        (PG + "u@127.0.0.1:65536/x", "port"),
        (PG + "u@127.0.0.1:0/x", "port"),
        (PG + "u:pw/db", "percent-encoded"),
        (PG + "u@[::1/x", "percent-encoded"),
        (PG + "u:hunter@2@h/db", "percent-encoded"),
        (PG + "u:hunter@2/w#rd@h/db", "percent-encoded"),
        (PG + "u@h/db?bogus=1", "unknown option"),
        (PG + "u@h/db?ssl=perhaps", "option ssl"),
        (PG + "u@h/db?schema=A-B", "option schema"),
        (PG + "u@h/db?port=1&port=2", "twice"),
        ("sqlite+aiosqlite://", "three slashes"),
        ("sqlite+aiosqlite:///", "name a file"),
        ("sqlite+aiosqlite:///:memory:", "name a file"),
        ("sqlite+aiosqlite://host/x.db", "three slashes"),
        ("sqlite+aiosqlite:///x.db?timeout=3", "no options"),
    ],
)
@pytest.mark.parametrize("name", ["ELICENSE_DATABASE_URL", "ELICENSE_SANDBOX_DATABASE_URL"])
def test_a_database_url_is_read_before_anything_connects(
    tmp_path: Path, name: str, url: str, named: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, environ={name: url})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name} ") and named in problem
    assert "hunter" not in problem


@pytest.mark.parametrize(
    "url",
    [
        PG + "h",
        PG + "u:S3cr/et@h/db",
        PG + "u:p%40ss@h:5432/db?ssl=verify-full&schema=province",
        PG + "u@[::1]:5432/x",
        PG + "postgres:@/postgres?host=/tmp/pg/data",
        PG + "u@/db?host=h1:1&host=h2:2&target_session_attrs=primary",
        "sqlite+aiosqlite:////srv/a@b/x.db",
        "sqlite+aiosqlite:///x y/证照.db",
    ],
)
def test_a_database_url_that_can_be_meant_is_taken(tmp_path: Path, url: str) -> None:
    assert load_settings(tmp_path, environ={"ELICENSE_DATABASE_URL": url}).database_url == url


def test_a_variable_that_is_none_of_ours_is_named(tmp_path: Path) -> None:
    ours = {"ELICENSE_ENV", "ELICENSE_PORT", "ELICENSE_SANDBOX_DATABASE_URL", "ELICENSE_API_KEY"}
    of_others = {"ELICENSE_SERVICE_HOST", "ELICENSE_SERVICE_PORT_HTTP", "ELICENSE_PORT_8000_TCP_ADDR", "PATH"}
    wrong = {"ELICENSE_DATABSE_URL", "ELICENSE_ENVIRONMENT", "ELICENSE_IS_SANDBOX", "ELICENSE_port"}
    environ = dict.fromkeys(ours | of_others | wrong, "")
    assert unknown_variables(environ) == tuple(sorted(wrong))


def test_a_wrong_option_is_named_as_it_was_given(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, environ={"ELICENSE_WORKERS": "none"}, port="99999")
    assert caught.value.problems == (
        "--port 须为 0 到 65535 的整数 must be a whole number from 0 to 65535",
        "ELICENSE_WORKERS 须为 1 到 256 的整数 must be a whole number from 1 to 256",
    )


def test_each_problem_is_told_in_chinese_first(tmp_path: Path) -> None:
    environ = {
        "ELICENSE_ENV": "staging",
        "ELICENSE_METRICS_TOKEN": "short",
        "ELICENSE_TRUSTED_PROXIES": "x",
        "ELICENSE_DATABASE_URL": "mysql://x",
        "ELICENSE_ISSUER_URL": "http://x.example/path",
    }
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, environ=environ)
    assert len(caught.value.problems) == 5
    for problem in caught.value.problems:
        _, zh, *_ = problem.split(" ")
        assert any("\u4e00" <= character <= "\u9fff" for character in zh), problem


def test_no_password_and_no_token_stands_in_the_representation() -> None:
    url = "postgresql+asyncpg://u:hidden_one@h/d"
    variables = {
        "ELICENSE_DATABASE_URL": url,
        "ELICENSE_SANDBOX_DATABASE_URL": url,
        "ELICENSE_METRICS_TOKEN": "hidden_one_of_metrics",
    }
    settings = load_settings("data", environ=variables)
    assert settings.database_url == url
    assert "hidden_one" not in repr(settings) + repr(settings.for_sandbox())
