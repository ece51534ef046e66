"""`elicense verify`, `inspect` and `trust update` as processes: what they print and how they exit."""

import json
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from elicense.element_kinds import WELL_KNOWN_KINDS
from elicense.key_binding import present
from elicense.status_list import Status
from tests.offline_kit import INDEX, OfflineKit, elicense
from tests.simulator import SimulatedSigner


@pytest.fixture
def kit(tmp_path: Path) -> OfflineKit:
    return OfflineKit(folder=tmp_path).write()


def verify(kit: OfflineKit, *words: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return elicense("verify", *words, "--trust-root", kit.root_path, "--bundle", kit.bundle_path, stdin=stdin)


def test_a_good_license_exits_0_and_says_so_in_chinese_first(kit: OfflineKit) -> None:
    done = verify(kit, kit.write_credential())
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert text.startswith("有效")
    assert "演示(南京)贸易有限公司" in text
    assert "示范路" in text


def test_the_text_says_when_it_was_verified_and_that_another_moment_was_judged(kit: OfflineKit) -> None:
    """It is kept, printed and photographed: nobody is to take what held at one moment for what holds at another."""
    path = kit.write_credential()
    before = datetime.now(UTC).replace(microsecond=0)
    verdict, _, when, *rest = verify(kit, path).stdout.decode().splitlines()
    assert verdict.startswith("有效")
    assert datetime.fromisoformat(when.removeprefix("  核验时刻: ")) >= before
    assert not any("判断的是" in line for line in rest)
    at = (before + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    verdict, _, _, judged, *_ = verify(kit, path, "--at", at).stdout.decode().splitlines()
    assert (verdict[:2], judged) == ("有效", f"  ! 判断的是 {at} 的情形,不说明核验时是否有效。")
    shown = verify(kit, path, "--at", at, "--lang", "en").stdout.decode().splitlines()
    assert shown[3] == f"  ! Judged for {at}: it does not say what held when this was verified."


def test_every_well_known_element_is_named_for_people(kit: OfflineKit) -> None:
    """Sole proprietors have an 经营者, partnerships a 执行事务合伙人, permits a 许可范围."""
    metadata = {"holder_name", "holder_code", "type_name", "name", "authority_name", "identifier", "number"}
    metadata |= {"type_code", "authority_code", "area_code", "issue_date", "valid_from", "valid_until"}
    elements = dict.fromkeys(sorted(WELL_KNOWN_KINDS.keys() - metadata), "张某")
    path = kit.folder / "wide.sdjwt"
    path.write_text(kit.installation.credential(elements=elements, status_index=INDEX))
    for lang in ("zh", "en"):
        shown = verify(kit, path, "--lang", lang).stdout.decode()
        assert shown.count("张某") == len(elements)
        assert [name for name in elements if f"\n  {name}: " in shown] == []


def test_what_nobody_issued_is_not_called_issued_in_a_test_environment(kit: OfflineKit) -> None:
    path = kit.write_credential()
    assert "测试环境签发的证照" in verify(kit, path).stdout.decode()
    path.write_text("no credential")
    assert "签发的证照" not in verify(kit, path).stdout.decode()


def test_english_is_a_word_away(kit: OfflineKit) -> None:
    done = verify(kit, kit.write_credential(), "--lang", "en")
    assert done.stdout.decode().startswith("VALID")


def test_a_changed_character_exits_1(kit: OfflineKit) -> None:
    path = kit.write_credential()
    token = path.read_text()
    path.write_text(token[:300] + ("A" if token[300] != "A" else "B") + token[301:])
    assert verify(kit, path).returncode == 1


@pytest.mark.parametrize(("status", "reason"), [(Status.INVALID, "revoked"), (Status.SUSPENDED, "suspended")])
def test_the_status_list_decides(kit: OfflineKit, status: Status, reason: str) -> None:
    path = kit.write_credential()
    kit.status = status
    kit.write()
    done = verify(kit, path, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["reason"] == reason


def test_a_status_older_than_the_caller_allows_exits_3(kit: OfflineKit) -> None:
    path = kit.write_credential()
    kit.status_age = timedelta(hours=2)
    kit.write()
    assert verify(kit, path, "--max-status-age", "3h").returncode == 0
    done = verify(kit, path, "--max-status-age", "1h", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["reason"] == "status_stale"


def test_a_clock_an_hour_behind_the_bundle_cannot_tell_and_exits_3(tmp_path: Path) -> None:
    signed_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    kit = OfflineKit(folder=tmp_path, now=signed_at).write()
    done = verify(kit, kit.write_credential(), "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["reason"] == "clock_unreliable"


def test_without_bundle_or_root_it_cannot_tell_and_exits_3(kit: OfflineKit) -> None:
    path = kit.write_credential()
    assert elicense("verify", path, "--trust-root", kit.root_path).returncode == 3
    assert elicense("verify", path).returncode == 3
    kit.bundle_path.unlink()
    assert verify(kit, path).returncode == 3


def test_a_damaged_bundle_is_never_an_exception(kit: OfflineKit) -> None:
    path = kit.write_credential()
    kit.bundle_path.write_bytes(kit.bundle_path.read_bytes()[:-50])
    done = verify(kit, path)
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--max-status-age", "8d"),
        ("--max-status-age", "soon"),
        ("--policy", "none-such"),
        ("--at", "yesterday"),
        ("--at", "2026-01-01T00:00:00"),
        ("--at", "0001-01-01T00:00:00+14:00"),
        ("--at", "0001-01-01"),
        ("--nonce", "\udcff", "--audience", "a"),
        ("--at", "9999-12-31T23:59:59-14:00"),
        ("--unknown",),
        ("--lang", "fr"),
    ],
)
def test_wrong_usage_exits_2(kit: OfflineKit, words: tuple[str, ...]) -> None:
    files = [kit.write_credential()] if words else []
    done = verify(kit, *files, *words)
    assert (done.returncode, b"Traceback" in done.stderr) == (2, False)
    assert "用法错误 usage: " in done.stderr.decode()


def test_a_file_that_cannot_be_read_exits_4(kit: OfflineKit) -> None:
    done = verify(kit, kit.folder / "absent")
    assert done.returncode == 4
    assert b"Traceback" not in done.stderr


def test_a_root_that_is_none_exits_4(kit: OfflineKit) -> None:
    path = kit.write_credential()
    kit.root_path.write_text("{}")
    assert verify(kit, path).returncode == 4


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"eyJhbGciOiJub25lIn0.e30.~", b"x" * (1 << 20)])
def test_what_is_no_credential_is_an_answer_and_exits_1(kit: OfflineKit, content: bytes) -> None:
    path = kit.folder / "noise"
    path.write_bytes(content)
    assert verify(kit, path).returncode == 1


def test_of_several_files_the_gravest_exit_counts(kit: OfflineKit) -> None:
    good = kit.write_credential("good")
    bad = kit.folder / "bad"
    bad.write_text("no credential")
    absent = kit.folder / "absent"
    assert verify(kit, good, good).returncode == 0
    assert verify(kit, good, bad).returncode == 1
    assert verify(kit, bad, absent, good).returncode == 4
    both = elicense("verify", good, bad, "--trust-root", kit.root_path)
    assert both.returncode == 1, "invalid outranks cannot tell"


def test_json_is_one_object_a_line_for_each_file(kit: OfflineKit) -> None:
    good = kit.write_credential("good")
    bad = kit.folder / "bad"
    bad.write_text("no credential")
    lines = verify(kit, good, bad, "--json").stdout.decode().splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["valid", "invalid"]


def test_a_credential_may_come_from_standard_input(kit: OfflineKit) -> None:
    assert verify(kit, "-", stdin=kit.write_credential().read_bytes()).returncode == 0


def test_another_moment_can_be_asked_about(kit: OfflineKit) -> None:
    assert verify(kit, kit.write_credential(), "--at", "2099-01-01").returncode != 0


def test_what_a_hostile_file_says_cannot_reach_the_terminal(kit: OfflineKit) -> None:
    path = kit.folder / "evil\x1b[2J"
    path.write_text("x")
    assert b"\x1b" not in verify(kit, path).stdout


def test_a_nonce_asks_the_presenter_to_be_the_holder(kit: OfflineKit) -> None:
    holder, made = SimulatedSigner(), kit.installation
    token = made.credential(edit=lambda payload: payload.update(cnf={"jwk": dict(holder.public_key.jwk)}))
    audience = "https://bank.example"
    shown = kit.folder / "shown.sdjwt"
    shown.write_text(
        present(
            token, disclose=["address"], signer=holder, nonce="n-1", audience=audience, issued_at=made.now
        )
    )
    kept = kit.folder / "evidence.json"
    good = verify(kit, shown, "--nonce", "n-1", "--audience", audience, "--save-evidence", kept, "--json")
    assert good.returncode == 0
    checks = {check["id"]: check["outcome"] for check in json.loads(good.stdout)["checks"]}
    assert checks["holder_binding"] == "passed"
    assert elicense("verify", "--evidence", kept, "--trust-root", kit.root_path).returncode == 0
    wrong = verify(kit, shown, "--nonce", "n-2", "--audience", audience, "--lang", "en")
    assert wrong.returncode == 1 and b"did not prove to be the holder" in wrong.stdout
    for words in (["--nonce", "n-1"], ["--audience", audience], ["--nonce", "", "--audience", audience]):
        assert verify(kit, shown, *words).returncode == 2
    assert verify(kit, shown, shown, "--nonce", "n-1", "--audience", audience).returncode == 2


def test_inspect_shows_claims_and_marks_them_unverified(kit: OfflineKit) -> None:
    done = elicense("inspect", kit.write_credential())
    assert done.returncode == 0
    assert "UNVERIFIED" in done.stdout.decode()
    assert "演示(南京)贸易有限公司" in done.stdout.decode()
    bad = kit.folder / "bad"
    bad.write_text("x")
    assert elicense("inspect", bad).returncode == 1
    assert elicense("inspect", kit.folder / "absent").returncode == 4


@pytest.mark.parametrize("words", [("--help",), ("verify", "--help"), ("trust", "update", "--help")])
def test_help_exits_0(words: tuple[str, ...]) -> None:
    done = elicense(*words)
    assert done.returncode == 0
    assert b"elicense" in done.stdout


@pytest.mark.parametrize("words", [(), ("no-such-word",), ("trust",), ("inspect",)])
def test_unknown_words_exit_2(words: tuple[str, ...]) -> None:
    assert elicense(*words).returncode == 2


class _Service(ThreadingHTTPServer):
    bundle: bytes = b""
    refusal: bytes = b""
    seen: list[str | None]


class _Handler(BaseHTTPRequestHandler):
    server: _Service

    def do_GET(self) -> None:
        self.server.seen.append(self.headers["Authorization"])
        # Through a proxy the path is the whole address.
        found = self.path.partition("?")[0].endswith("/v1/bundle")
        refusal = self.server.refusal
        self.send_response(403 if refusal else 200 if found else 404)
        self.send_header("Content-Type", "application/problem+json" if refusal else "application/json")
        self.end_headers()
        self.wfile.write(refusal or (self.server.bundle if found else b""))

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def service() -> Iterator[_Service]:
    server = _Service(("127.0.0.1", 0), _Handler)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def update(kit: OfflineKit, service: _Service, out: Path) -> int:
    address = f"http://127.0.0.1:{service.server_address[1]}"
    return elicense(
        "trust", "update", "--base-url", address, "--trust-root", kit.root_path, "--bundle", out
    ).returncode


def test_an_update_is_checked_stored_and_used(kit: OfflineKit, service: _Service) -> None:
    out, path = kit.folder / "mine.json", kit.write_credential()
    service.bundle = kit.bundle_bytes()
    assert update(kit, service, out) == 0
    assert out.read_bytes() == service.bundle
    kit.status, kit.seq = Status.INVALID, kit.seq + 1
    service.bundle = kit.bundle_bytes()
    assert update(kit, service, out) == 0
    assert elicense("verify", path, "--trust-root", kit.root_path, "--bundle", out).returncode == 1
    assert service.seen == [None, None]


@pytest.mark.parametrize("part", ["seq", "list_sequence"])
def test_an_older_part_is_refused_and_the_held_bundle_stays(
    kit: OfflineKit, service: _Service, part: str
) -> None:
    out = kit.folder / "mine.json"
    service.bundle = held = kit.bundle_bytes()
    assert update(kit, service, out) == 0
    setattr(kit, part, getattr(kit, part) - 1)
    service.bundle = kit.bundle_bytes()
    assert update(kit, service, out) == 1
    assert out.read_bytes() == held


def test_a_bundle_of_another_root_is_refused(kit: OfflineKit, service: _Service, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    service.bundle = OfflineKit(folder=other).write().bundle_bytes()
    out = kit.folder / "mine.json"
    assert update(kit, service, out) == 1
    assert not out.exists()


def test_a_damaged_memory_is_not_silently_replaced(kit: OfflineKit, service: _Service) -> None:
    out = kit.folder / "mine.json"
    out.write_text("{")
    service.bundle = kit.bundle_bytes()
    assert update(kit, service, out) == 1
    assert out.read_text() == "{"


def test_an_expired_freshness_is_refused(kit: OfflineKit, service: _Service) -> None:
    kit.status_age = timedelta(days=8)
    service.bundle = kit.bundle_bytes()
    assert update(kit, service, kit.folder / "mine.json") == 1


def test_an_update_under_a_clock_an_hour_behind_is_refused(service: _Service, tmp_path: Path) -> None:
    signed_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    kit = OfflineKit(folder=tmp_path, now=signed_at).write()
    service.bundle = kit.bundle_bytes()
    out = tmp_path / "mine.json"
    assert update(kit, service, out) == 1
    assert not out.exists()


def test_a_service_that_does_not_answer_exits_4_and_a_wrong_address_2(kit: OfflineKit) -> None:
    out, root = kit.folder / "mine.json", kit.root_path
    words = ("trust", "update", "--trust-root", root, "--bundle", out, "--base-url")
    assert elicense(*words, "http://127.0.0.1:1").returncode == 4
    assert elicense(*words, "nowhere").returncode == 2


def test_a_byte_order_mark_before_a_credential_is_passed_over(kit: OfflineKit) -> None:
    path = kit.write_credential()
    path.write_bytes(b"\xef\xbb\xbf\r\n" + path.read_bytes())
    assert verify(kit, path).returncode == 0
    assert verify(kit, "-", stdin=path.read_bytes()).returncode == 0
    assert elicense("inspect", path).returncode == 0


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_what_a_service_says_reaches_no_terminal_as_it_is(
    kit: OfflineKit, service: _Service, lang: str
) -> None:
    said = {"code": "forbidden\x1b[2J", "detail": "\x1b]0;owned\x07\r\n已更新\u202e", "title": "\x9b31m"}
    service.refusal = json.dumps(said).encode()
    address = f"http://127.0.0.1:{service.server_address[1]}"
    done = elicense(
        *("trust", "update", "--base-url", address, "--trust-root", kit.root_path),
        *("--bundle", kit.folder / "mine.json", "--lang", lang),
    )
    assert done.returncode == 4
    text = done.stderr.decode()
    assert "owned" in text and text.endswith("\n")
    assert text[:-1].isprintable()


def test_a_mirror_over_http_is_read_whatever_key_the_environment_holds(
    kit: OfflineKit, service: _Service
) -> None:
    proxy = f"http://127.0.0.1:{service.server_address[1]}"
    service.bundle = kit.bundle_bytes()
    words = ("trust", "update", "--base-url", "http://trust.example", "--trust-root", kit.root_path)
    out = kit.folder / "mine.json"
    done = elicense(*words, "--bundle", out, ELICENSE_API_KEY="elk_live_a_b", http_proxy=proxy)
    assert done.returncode == 0, done.stderr.decode()
    assert service.seen == [None]


def test_without_a_root_it_names_the_option_that_is_missing(kit: OfflineKit) -> None:
    done = elicense("verify", kit.write_credential(), "--lang", "en")
    assert done.returncode == 3
    assert b"no trust root" in done.stdout
    assert b"not JSON" not in done.stdout
    assert b"--trust-root" in done.stderr
