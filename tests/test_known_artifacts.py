"""Artifacts that are pinned again: what is the same file as before is not read, and nothing else is taken for it."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from orchgate.evidence import known_artifacts, pin
from orchgate.evidence import lock as locks
from orchgate.evidence.known_artifacts import KnownArtifacts
from orchgate.evidence.lock_checks import SizeLimits
from orchgate.lib.cache import VARIABLE, Cache
from orchgate.references.artifacts import Artifacts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo

RUN = ".runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47"
PATHS = (f"{RUN}/manifest.json", f"{RUN}/a.log", f"{RUN}/stages/b.log", "out/c.txt", "out/d\né.txt")
LIMITS = SizeLimits(1000, 1000)
MANIFEST = '{"task_id": "0001-demo", "status": "%s"}'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Artifacts that were written long ago, as far as anybody can tell."""
    monkeypatch.setattr(known_artifacts, "RACY_NS", -(10**12))
    top = tmp_path / "top"
    for path in PATHS:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(MANIFEST % "failed" if path.endswith(".json") else f"{path}\n")
    return top


def planned(root: Path, data: bytes | None, *, known: bool = True) -> pin.LockUpdate:
    """A lock of all artifacts, made from the one before, as a process of its own would."""
    disk = Artifacts(str(root), (".runs", "out"))
    remembered = KnownArtifacts(Cache(str(root / "kept")), disk, LIMITS) if known else None
    return pin.plan(data, PATHS, disk, LIMITS, known=remembered)


def state(made: pin.LockUpdate) -> tuple[object, ...]:
    refused = [(one.path, one.message) for one in made.refused]
    return dict(made.pins), made.data, made.added, made.changed, made.known, made.dropped, refused


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    paths: list[str] = []
    from orchgate.evidence.lock_checks import measure

    def counted(artifacts: Artifacts, path: str, *rest: int) -> object:
        paths.append(path)
        return measure(artifacts, path, *rest)

    monkeypatch.setattr("orchgate.evidence.pin.measure", counted)
    return paths


def test_what_was_measured_is_not_measured_again(root: Path, measured: list[str]) -> None:
    first = planned(root, None)
    measured.clear()

    assert state(planned(root, first.data)) == state(planned(root, first.data, known=False))
    assert sorted(measured) == sorted(PATHS), "and without what is known all of it is"


def test_what_others_did_to_the_lock_makes_nothing_be_measured_again(root: Path, measured: list[str]) -> None:
    first = planned(root, None)
    other = locks.Pinned("out/elsewhere.txt", "a" * 64, 3)
    data = locks.render([*first.pins.values(), other])
    measured.clear()

    made = planned(root, data)

    assert (made.data, measured) == (data, [])


def test_what_was_just_written_is_measured_again(
    root: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the clock of the file system stands still, another content of that length looks the same."""
    monkeypatch.undo()
    first = planned(root, None)

    assert planned(root, first.data).data == first.data
    assert (
        not os.path.lexists(root / "kept/cache")
        or not KnownArtifacts(Cache(str(root / "kept")), Artifacts(str(root), ("out",)), LIMITS)._lines
    )


def _rewritten(path: Path, chosen: random.Random) -> None:
    path.write_bytes(
        bytes(chosen.choices(b"abc", k=path.stat().st_size)) if path.suffix != ".json" else _manifest(path)
    )


def _manifest(path: Path) -> bytes:
    return (MANIFEST % ("passed" if "failed" in path.read_text() else "failed")).encode()


def _restored(path: Path, chosen: random.Random) -> None:
    before = path.stat()
    _rewritten(path, chosen)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced(path: Path, chosen: random.Random) -> None:
    before, beside = path.stat(), path.with_name("beside")
    shutil.copy(path, beside)
    _rewritten(beside, chosen)
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(beside, path)


def _linked(path: Path, _: random.Random) -> None:
    os.rename(path, path.with_name("target"))
    path.symlink_to("target")


def _behind_a_link(path: Path, _: random.Random) -> None:
    if not path.parent.is_symlink():
        os.rename(path.parent, f"{path.parent}-real")
        path.parent.symlink_to(f"{path.parent.name}-real")


def _contradicted(path: Path, _: random.Random) -> None:
    (path.parent / "journal.jsonl").write_text('{"event": "run-started"}\n')


def _grown(path: Path, _: random.Random) -> None:
    path.write_bytes(path.read_bytes() + b"more\n")


def _gone(path: Path, _: random.Random) -> None:
    path.unlink(missing_ok=True)


def _touched(path: Path, _: random.Random) -> None:
    os.utime(path)


EDITS: tuple[Callable[[Path, random.Random], None], ...] = (
    _rewritten,
    _restored,
    _replaced,
    _linked,
    _behind_a_link,
    _contradicted,
    _grown,
    _gone,
    _touched,
)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_done_to_artifacts_is_seen(root: Path, seed: int) -> None:
    chosen = random.Random(seed)
    data = planned(root, None).data
    for _ in range(12):
        for _ in range(chosen.randint(0, 2)):
            path = root / chosen.choice(PATHS)
            if path.is_file() and not path.is_symlink():
                chosen.choice(EDITS)(path, chosen)
        fresh, made = planned(root, data, known=False), planned(root, data)
        assert state(made) == state(fresh)
        data = made.data


def test_a_build_server_measures_all_of_it(repo: Repo) -> None:
    repo.stage("docs/PRD-demo.md", "# PRD\n\n- [x] done. Evidence: `out/a.txt`\n")
    repo.write("out/a.txt", "a\n")
    os.utime(repo.root / "out/a.txt", (1, 1))

    told = [repo.orchgate("evidence", "pin", "out/a.txt", env=env) for env in ({VARIABLE: "1"}, {"CI": "1"})]

    assert [one.code for one in told] == [0, 0]
    assert not os.path.lexists(repo.root / ".git/orchgate/cache")
