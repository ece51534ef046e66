"""The audit of the register is a second opinion: it may share nothing with those who write what it judges."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2] / "app"
AUDIT = sorted((ROOT / "services").glob("log_audit*.py"))
READER = ROOT / "adapters" / "db" / "audit_reader.py"
MAY_READ_WITH = {"engine", "errors", "tables", "transactions", "types"}


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name == "app" or name.startswith("app.")}


def test_the_audit_knows_its_port_and_itself_alone() -> None:
    assert len(AUDIT) > 5
    for path in AUDIT:
        foreign = {
            name
            for name in _imported(path)
            if name != "app.log_ports" and not name.startswith("app.services.log_audit")
        }
        assert not foreign, f"{path.name}: {foreign}"


def test_its_reader_uses_no_repository() -> None:
    allowed = {f"app.adapters.db.{name}" for name in MAY_READ_WITH} | {"app.log_ports"}
    assert _imported(READER) <= allowed
