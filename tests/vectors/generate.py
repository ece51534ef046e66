"""Make every vector and every trust file anew: `uv run python -m tests.vectors.generate`.

The expectations stand in the cases, written by hand from the public contract; nothing here asks the judge.
"""

import json
from pathlib import Path

from tests.vectors import cases_file, cases_state
from tests.vectors.vector import FOLDER, OTHER_FILES, TRUST_ROOT
from tests.vectors.worlds import WORLDS


def make_files() -> dict[str, bytes]:
    """Give the content of every file by its name below this folder."""
    vectors = [*cases_file.make(), *cases_state.make()]
    files = {f"{members['id']}.json": _text(members) for members in vectors}
    assert len(files) == len(vectors), "two vectors have the same id"
    worlds = [world() for world in WORLDS]
    roots = {world.installation.pinned_root() for world in worlds}
    assert len(roots) == 1, "all vectors share one pinned root"
    files[TRUST_ROOT] = roots.pop()
    return files | {world.file: world.installation.bundle() for world in worlds}


def _text(members: object) -> bytes:
    return (json.dumps(members, ensure_ascii=False, indent=2) + "\n").encode()


def main(folder: Path = FOLDER) -> None:
    """Write the files, and remove those of vectors that are no more."""
    files = make_files()
    for stale in [*folder.glob("*.json"), *folder.glob("trust/*.json")]:
        name = stale.relative_to(folder).as_posix()
        if name not in files and name not in OTHER_FILES:
            stale.unlink()
    (folder / "trust").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
