"""Git LFS pointers: judged by what they name where that is here, and named as what they are where it is not."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cli import main
from orchgate.git.snapshot import Pointer, pointer
from tests.manifest_samples import PATH, encoded, january
from tests.support import checked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo

CONTENT = encoded(january())
FAILED = encoded(january(status="failed"))
LOGS = ("01-compile", "02-test")


def named(content: bytes, *, size: int | None = None) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    length = len(content) if size is None else size
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {length}\n".encode()


def store(repo: Repo, content: bytes, *, as_if: bytes | None = None) -> Path:
    digest = hashlib.sha256(content if as_if is None else as_if).hexdigest()
    place = repo.root / ".git/lfs/objects" / digest[:2] / digest[2:4] / digest
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    return place


@pytest.fixture
def tracked(repo: Repo) -> Repo:
    """A manifest that git holds as a pointer, cited as evidence."""
    repo.stage(PATH, named(CONTENT))
    for name in LOGS:
        repo.stage(PATH.replace("manifest.json", f"commands/{name}.ndjson"))
    repo.stage("orchgate.toml", 'profile = "codex-orchestrator"\n')
    repo.stage("docs/notes.md", f"Evidence: `{PATH}`\n")
    return repo


def verdict(*checks: str) -> tuple[str, list[str]]:
    report = checked("--staged", *(checks or ("manifests", "evidence")))
    troubles: list[dict[str, Any]] = [one for check in report["checks"] for one in check["troubles"]]
    return report["verdict"], [one["message"] for one in troubles]


MISSING = "is a Git LFS pointer, and the file is not here"


@pytest.mark.slow
@pytest.mark.parametrize("check", ["manifests", "evidence"])
def test_a_pointer_without_its_file_is_what_nobody_can_check(tracked: Repo, check: str) -> None:
    assert verdict(check) == ("broken", [MISSING])


@pytest.mark.slow
def test_the_hint_brings_the_file(tracked: Repo) -> None:
    trouble = checked("--staged", "manifests")["checks"][0]["troubles"][0]

    assert trouble["hint"] == f"git lfs pull --include={PATH}"


def test_the_file_in_the_store_is_judged(tracked: Repo) -> None:
    store(tracked, CONTENT)

    assert verdict() == ("pass", [])


@pytest.mark.slow
def test_the_file_in_the_work_tree_is_judged(tracked: Repo) -> None:
    tracked.write(PATH, CONTENT)

    assert verdict() == ("pass", [])


def test_what_the_pointer_names_is_judged_not_what_lies_there(tracked: Repo) -> None:
    tracked.stage(PATH, named(FAILED))
    tracked.write(PATH, CONTENT)
    store(tracked, FAILED)

    assert verdict("evidence")[0] == "fail"


def spoil_store(repo: Repo) -> None:
    store(repo, CONTENT.replace(b"succeeded", b"succeedet"), as_if=CONTENT)


def link_out(repo: Repo) -> None:
    place = store(repo, CONTENT)
    place.rename(repo.root.parent / "elsewhere")
    place.symlink_to(repo.root.parent / "elsewhere")


def pipe_in_place(repo: Repo) -> None:
    place = store(repo, CONTENT)
    place.unlink()
    os.mkfifo(place)


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [spoil_store, link_out, pipe_in_place])
def test_a_store_that_holds_something_else_is_not_believed(tracked: Repo, spoil: Callable[[Repo], None]) -> None:
    spoil(tracked)

    assert verdict("manifests") == ("broken", [MISSING])


@pytest.mark.slow
def test_a_file_that_is_too_large_is_not_read(tracked: Repo) -> None:
    tracked.stage(PATH, named(CONTENT, size=10**12))

    assert verdict("manifests")[0] == "fail"


def test_a_document_that_is_a_pointer_is_named_as_one(repo: Repo) -> None:
    repo.stage("docs/a.md", named(b"# A\n"))

    assert verdict("evidence") == ("broken", [MISSING])


def test_a_document_that_several_ask_about_is_named_once(repo: Repo) -> None:
    repo.stage("docs/a.md", named(b"# A\n"))
    repo.stage("docs/b.md", "[a](a.md#a)\n")
    repo.stage("docs/c.md", "[a](a.md#other)\n")

    assert verdict("evidence") == ("broken", [MISSING])


def test_a_document_is_read_from_the_store(repo: Repo) -> None:
    text = b"[gone](gone.md)\n"
    repo.stage("docs/a.md", named(text))
    store(repo, text)

    assert verdict("evidence")[0] == "fail"


def test_a_configuration_that_is_a_pointer_is_named_as_one(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.stage("orchgate.toml", named(b""))

    assert main(["check", "--staged"]) == 2
    assert "Git LFS pointer" in capsys.readouterr().err


def test_a_pointer_on_disk_is_named_as_one(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write(PATH, named(CONTENT))

    main(["status"])

    assert "Git LFS pointer" in capsys.readouterr().out


def test_a_finished_packet_is_not_blamed_for_a_run_that_is_elsewhere(tracked: Repo) -> None:
    tracked.stage("orchgate.toml", 'profile = "codex-orchestrator"\nevidence.required-runs = ["build"]\n')
    tracked.stage("docs/PRD-demo.md", "# PRD\n")
    tracked.stage("tasks/tasks-0001-demo.md", f"# T\n\n- [x] a. Evidence: `{PATH}`\n")

    assert verdict("evidence")[0] == "broken"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (named(b"x"), Pointer(hashlib.sha256(b"x").hexdigest(), 1)),
        (named(b"x").rstrip(b"\n"), Pointer(hashlib.sha256(b"x").hexdigest(), 1)),
        (named(b"x") + b"more\n", None),
        (named(b"x").replace(b"oid", b"ext-0-a b\noid"), Pointer(hashlib.sha256(b"x").hexdigest(), 1)),
        (b"version https://git-lfs.github.com/spec/v1\n", None),
        (named(b"x").replace(b"sha256:", b"sha256:zz"), None),
        (named(b"x").replace(b"\nsize", b"\n\nsize"), None),
        (b"version https://git-lfs.github.com/spec/v1\n" + b"ext-0-a b\n" * 200, None),
        (b"", None),
    ],
)
def test_a_pointer_is_one_to_the_letter(content: bytes, expected: Pointer | None) -> None:
    assert pointer(content) == expected
