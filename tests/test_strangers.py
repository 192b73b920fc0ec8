"""A stranger's repository: reading it runs nothing and writes nothing, whatever is in it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.evidence import lock
from orchgate.git.store.contents import REF
from tests.runs import until
from tests.strangers import FOREIGN_RUN, RUN, SEQUENCES, SHAPES, TASK, Stranger, listing, stranger

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

MEANT = ("configuration", "diff-budget", "documents", "evidence", "manifests", "specs", "version-bump")
READING = [
    "check",
    "check --staged",
    "check --staged --explain",
    "check --staged --output-format json",
    "check --all-files",
    "check --all-files --explain --no-ignores",
    "check --commit HEAD",
    "check --commit HEAD~1",
    f"check {' '.join(MEANT)} --base HEAD~2",
    f"check {' '.join(MEANT)} --base origin/main --head HEAD --explain",
    "check --show-config",
    "hook pre-commit",
    "hook pre-merge-commit",
    "status",
    f"status {RUN}",
    f"status {FOREIGN_RUN}",
    "status latest",
    "status --output-format json",
    "hotspots",
    f"hotspots {RUN}",
    f"hotspots {FOREIGN_RUN}",
    f"hotspots {TASK}",
    "hotspots --output-format json",
    "plan",
    "plan evil",
    "plan --output-format json",
    "explain",
    "explain EVD001",
    "schema",
    "baseline show",
    "baseline show --output-format json",
    "evidence verify",
    "history show",
    "history verify",
    "evidence show .runs/x",
    f"evidence show .runs/{TASK}/cli/{RUN}/manifest.json",
    "evidence pin --check",
    f"evidence summarize --task 0001-demo --before {RUN} --after {FOREIGN_RUN} --check",
    "init --dry-run",
    "init --dry-run --native",
    "new faster-start --dry-run",
    "report -o -",
    "scan HEAD",
    "tasks",
    "tasks check --no-run 0001",
]


PUSHED = f"refs/heads/{SEQUENCES.splitlines()[0]} {{oid}} refs/heads/--output=x {'0' * 40}"
ASIDE = (".git/orchgate/",)  # where files lie before they take their place
WRITING = {
    "metrics": (".runs/", "out/", *ASIDE),
    "evidence pin": (".orchgate/", *ASIDE),
    "check --fix --all-files": (".orchgate/", *ASIDE),
    "new faster-start": ("docs/", "tasks/", *ASIDE),
}


@pytest.fixture
def hostile(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Stranger:
    """The current folder. It is made once, for those who read only."""
    base = tmp_path_factory.getbasetemp() / "stranger"
    made = Stranger.at(base) if base.exists() else stranger(base)
    monkeypatch.chdir(made.repo.root)
    return made


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stranger:
    """The same for those who write."""
    made = stranger(tmp_path / "own")
    monkeypatch.chdir(made.repo.root)
    return made


@pytest.mark.slow
def test_the_traps_are_set(own: Stranger) -> None:
    expected = {"filter-evil-clean", "filter-spoken-process", "included", "core-fsmonitor", "inner-clean"}
    tracked = own.repo.git("ls-files").splitlines()

    def sprung() -> bool:
        for name in tracked:  # each by itself: git ends, and kills what runs, where the first filter fails
            with contextlib.suppress(OSError):
                os.utime(own.repo.root / name)
            for verb in ("status", "diff"):
                subprocess.run(["git", verb, "--", name], cwd=own.repo.root, capture_output=True, check=False)
        return expected <= own.ran

    until(sprung)


@pytest.mark.slow
@pytest.mark.parametrize("line", READING)
def test_reading_runs_nothing_writes_nothing_and_shows_no_control_character(
    hostile: Stranger, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hostile.state()

    code = main(line.split())

    shown = capsys.readouterr()
    assert (code in {0, 1, 2, 3}, hostile.ran, hostile.state()) == (True, set(), before)
    assert "json" in line or raw(shown.out + shown.err) == set()


def raw(text: str) -> set[str]:
    """What a terminal would obey, or show elsewhere than it stands."""
    return {char for char in text if char not in "\n\t" and (not char.isprintable() or char in SEQUENCES[-2:])}


@pytest.mark.parametrize("remote", ["origin", "https://x.y/z", "--upload-pack=x", SEQUENCES])
def test_a_push_is_judged_without_running_anything(
    hostile: Stranger, remote: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hostile.state()
    line = PUSHED.format(oid=hostile.head)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line.encode())))

    code = main(["hook", "pre-push", "--", remote, "address"])

    shown = capsys.readouterr()
    assert (code in {0, 1, 3}, hostile.ran, hostile.state()) == (True, set(), before), shown.err
    assert raw(shown.out + shown.err) == set()


@pytest.mark.slow
@pytest.mark.parametrize("line", WRITING)
def test_writing_runs_nothing_and_touches_its_own_files_only(own: Stranger, line: str) -> None:
    before = own.state()

    main(line.split())

    after = own.state()
    changed = {os.path.relpath(path, own.repo.root) for path in before | after if before.get(path) != after.get(path)}
    assert (own.ran, {path for path in changed if not f"{path}/".startswith(WRITING[line])}) == (set(), set())


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["check --staged", "status", "plan", "evidence verify", "hook pre-commit"])
def test_modules_at_the_top_of_a_repository_are_not_imported(own: Stranger, verb: str) -> None:
    code = f"open({str(own.outside / 'ran' / 'python')!r}, 'w')\n"
    names = ("json", "tomllib", "os", "site", "sitecustomize", "usercustomize", "argparse", "unidiff/__init__")
    for name in (*names, "orchgate/__init__", "orchgate/cli"):
        own.repo.write(f"{name}.py", code)
    own.repo.write("x.pth", f"import os; {code}")

    done = own.repo.orchgate(*verb.split())

    assert (done.code in {0, 1, 3}, own.ran) == (True, set()), done.out


# Repositories that are not the one in whose files they lie


def embedded(repo: Repo, settings: str) -> Path:
    """A bare repository among the files of another, as any clone can bring it, with settings of its own."""
    repo.commit(files={"a.md": "# A\n"})
    folder = repo.root / "vendor"
    repo.git("init", "--quiet", "--bare", "--template=", str(folder))
    (folder / "config").write_text(f"[core]\n\trepositoryformatversion = 0\n\t{settings}\n")
    return folder


@pytest.mark.parametrize("settings", ["bare = true", "worktree = ..", "worktree = ../vendor/refs"])
@pytest.mark.parametrize("line", ["check", "status", "metrics", "evidence verify", "run p --task t"])
def test_a_bare_repository_among_the_files_is_not_taken_for_the_repository(
    repo: Repo, settings: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(embedded(repo, settings))

    assert main(line.split()) == 3
    assert "vendor is a bare repository among the files of" in capsys.readouterr().err


@pytest.mark.slow
def test_a_bare_repository_of_one_s_own_can_be_named(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(embedded(repo, "bare = true"))
    monkeypatch.setenv("GIT_DIR", ".")

    main(["check", "--all-files"])

    assert "among the files" not in capsys.readouterr().err


@pytest.mark.parametrize("line", ["check", "status", "metrics", "new faster-start", "evidence pin"])
def test_a_work_tree_elsewhere_is_not_touched(
    repo: Repo, tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = tmp_path / "victim"
    (victim / ".runs/t").mkdir(parents=True)
    (victim / ".runs/t/metrics.json").write_text('{"entry":1}\n')
    repo.git("config", "core.worktree", str(victim))
    before = listing(victim)

    assert (main(line.split()), listing(victim)) == (3, before)
    assert "core.worktree names" in capsys.readouterr().err


# Git's own files, and references


@pytest.mark.parametrize("text", ["--output={}", "--output={}\n", "-O{}", "HEAD --output={}"])
def test_an_option_in_the_place_of_a_merged_commit_is_not_obeyed(
    repo: Repo, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit(files={"a.md": "# A\n"})
    repo.stage("a.md", "# B\n")
    repo.write(".git/MERGE_HEAD", text.format(tmp_path / "written"))

    assert (main(["check", "--staged"]), (tmp_path / "written").exists()) == (3, False)
    assert "MERGE_HEAD names what is not a commit here" in capsys.readouterr().err


@pytest.mark.parametrize("shape", ["pipe", "huge"])
def test_a_list_of_merged_commits_that_cannot_be_read_is_not_taken_for_none(repo: Repo, shape: str) -> None:
    repo.commit(files={"a.md": "# A\n"})
    SHAPES[shape](repo.root / ".git/MERGE_HEAD")

    assert main(["check", "--staged"]) == 3


def entry(mode: str, name: str, oid: str) -> bytes:
    return f"{mode} {name}\0".encode() + bytes.fromhex(oid)


def planted(repo: Repo, kind: str) -> str:
    """An object for the reference that evidence travels in, of every kind that it should not be."""
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"x")
    head = repo.git("rev-parse", "HEAD")

    def written(type_: str, content: bytes) -> str:
        return repo.git("hash-object", "-t", type_, "-w", "--literally", "--stdin", stdin=content)

    def committed(*entries: bytes) -> str:
        return repo.git("commit-tree", "-m", "x", written("tree", b"".join(entries)))

    def content(mode: str, oid: str) -> str:
        name = hashlib.sha256(b"x").hexdigest()
        return committed(entry("40000", name[:2], written("tree", entry(mode, name[2:], oid))))

    hostile = [("100644", "../../../x"), ("100644", ".git"), ("120000", "link"), ("100644", f"a{SEQUENCES}")]
    made = {
        "blob": lambda: blob,
        "tag": lambda: written("tag", f"object {blob}\ntype blob\ntag x\ntagger A <a> 0 +0000\n\nx\n".encode()),
        "names": lambda: committed(*(entry(mode, name, blob) for mode, name in hostile)),
        "link": lambda: content("120000", blob),
        "submodule": lambda: content("160000", head),
        "tree": lambda: repo.git("rev-parse", "HEAD^{tree}"),
        "missing": lambda: written(
            "commit", b"tree " + b"1" * 40 + b"\nauthor A <a> 0 +0000\ncommitter A <a> 0 +0000\n"
        ),
    }
    return made[kind]()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["blob", "tag", "names", "link", "submodule", "tree", "missing"])
@pytest.mark.parametrize("line", ["evidence verify", "evidence show .runs/t/cli/x.log", "check --all-files"])
def test_a_reference_to_anything_is_read_as_a_store_or_refused(
    repo: Repo, kind: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit(files={lock.PATH: lock.render([lock.Pinned(".runs/t/cli/x.log", hashlib.sha256(b"x").hexdigest(), 1)])})
    repo.write(f".git/{REF}", planted(repo, kind) + "\n")
    before = listing(repo.root)

    code = main(line.split())

    shown = capsys.readouterr()
    assert (code in {0, 1, 3}, listing(repo.root), raw(shown.out + shown.err)) == (True, before, set()), shown.err


@pytest.mark.slow
@pytest.mark.parametrize("branch", ["--output=written", "-x", "HEAD", f"b{SEQUENCES[-2:]}"])
@pytest.mark.parametrize("line", ["check", "check --commit HEAD", "status", "evidence push"])
def test_a_branch_called_like_an_option_is_a_name(
    repo: Repo, branch: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    oid = repo.commit(files={"a.md": "# A\n"})
    repo.write(f".git/refs/heads/{branch}", f"{oid}\n")
    repo.write(".git/HEAD", f"ref: refs/heads/{branch}\n")
    before = listing(repo.root)

    code = main(line.split())

    shown = capsys.readouterr()
    assert (code in {0, 3}, listing(repo.root), raw(shown.out + shown.err)) == (True, before, set()), shown.err
