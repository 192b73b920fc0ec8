"""Nothing is written into git's own files, and nothing behind a link that leads out of the repository."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.config.load import build
from orchgate.config.source import Source
from orchgate.errors import ConfigError, OrchgateError
from orchgate.evidence.lock import PATH, LockError, Pinned, parse, render
from orchgate.lib.paths import git_name, is_git_name, looks_like_git, require_inside, require_real
from orchgate.runs.ids import run_folder
from tests.repo import Repo, clone
from tests.test_store import LOG, RUN, Pair, pair, pin, sha256, share_lock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["pair"]  # a fixture

GIT_NAMES = [
    ".git",
    ".GIT",
    ".Git",
    ".git.",
    ".git. .",
    ".git ",
    "git~1",
    "GIT~1",
    "git~1.",
    ".git::$INDEX_ALLOCATION",
    ".git:x",
    ".g\u200cit",
    ".\u200dgit",
    "\ufeff.git",
    ".gi\u206et",
    ".git\u202a",
]
WINDOWS = ["git~2", "x\\.git", ".git\\config"]  # what git refuses only where it matters to it
OTHERS = [
    ".github",
    ".gitignore",
    ".gitattributes",
    "git",
    ".git-x",
    "x.git",
    "agit~1",
    "g\u0456t~1",
    ".g\u0131t",
    "..git",
    "",
]


@pytest.mark.parametrize("name", [*GIT_NAMES, *WINDOWS])
def test_a_name_that_some_system_takes_for_git_s_is_known(name: str) -> None:
    assert is_git_name(name)


@pytest.mark.parametrize("name", OTHERS)
def test_a_name_that_only_looks_like_it_is_free(name: str) -> None:
    assert not is_git_name(name)


@pytest.mark.parametrize("name", GIT_NAMES)
def test_git_s_own_path_check_refuses_what_we_know_as_its_name(name: str, repo: Repo) -> None:
    options = ("-c", "core.protectHFS=true", "-c", "core.protectNTFS=true")
    oid = repo.git("hash-object", "-w", "--stdin", stdin=b"x")

    refused = repo.attempt("git", *options, "update-index", "--add", "--cacheinfo", f"100644,{oid},a/{name}/config")

    assert refused.code != 0


@pytest.mark.parametrize("name", GIT_NAMES)
@pytest.mark.parametrize("path", ["{}", ".runs/{}", ".runs/{}/config", ".runs/a/{}/hooks/post-checkout"])
def test_it_is_found_anywhere_in_a_path(name: str, path: str) -> None:
    assert git_name(path.format(name)) == name


@pytest.mark.parametrize("name", GIT_NAMES)
def test_a_lock_that_names_git_s_files_cannot_be_read(name: str) -> None:
    with pytest.raises(LockError, match="git keeps for itself"):
        parse(render([Pinned(f".runs/{name}/config", "a" * 64, 1)]))


@pytest.mark.parametrize("root", [*GIT_NAMES, ".git/hooks", ".runs/.GIT", "./.git", ".git/"])
def test_git_s_folder_is_no_place_for_artifacts(root: str) -> None:
    with pytest.raises(ConfigError, match=r"evidence\.roots\[0\]"):
        build(Source("orchgate.toml", {"evidence": {"roots": [root]}}))


@pytest.mark.parametrize("name", ["git~1", "GIT~1"])
def test_a_task_is_not_called_like_git_s_folder(name: str, repo: Repo) -> None:
    with pytest.raises(OrchgateError, match="cannot be a task id"):
        run_folder(str(repo.root), name, "x")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"HEAD", "objects", "refs", "config"}, True),
        ({"head", "Objects", "refs"}, True),
        ({"HEAD", "commondir"}, True),
        ({"HEAD", "objects"}, False),
        ({"objects", "refs", "config"}, False),
        (set(), False),
    ],
)
def test_a_folder_is_git_s_by_what_is_in_it(names: set[str], expected: bool) -> None:
    assert looks_like_git(names) == expected


# Links


@pytest.mark.parametrize("link", [".runs", ".runs/0001-demo", ".runs/0001-demo/cli"])
@pytest.mark.parametrize("target", ["/elsewhere", "../../../../elsewhere", "/"])
def test_a_folder_behind_a_link_that_leads_out_is_refused(repo: Repo, link: str, target: str) -> None:
    (repo.root / link).parent.mkdir(parents=True, exist_ok=True)
    (repo.root / link).symlink_to(target)

    with pytest.raises(OrchgateError, match=f"^{link} is a symbolic link that leads out"):
        require_inside(str(repo.root), str(repo.root / ".runs" / "0001-demo" / "cli" / "x"))


def test_a_folder_behind_a_link_that_stays_inside_may_be_written(repo: Repo) -> None:
    (repo.root / "var").mkdir()
    (repo.root / ".runs").symlink_to("var")

    assert run_folder(str(repo.root), "0001-demo", "x") == str(repo.root / ".runs/0001-demo/cli/x")


@pytest.mark.parametrize("target", [".git", ".git/hooks", "sub/.git"])
def test_a_folder_behind_a_link_to_git_s_own_is_refused(repo: Repo, target: str) -> None:
    (repo.root / "sub" / ".git").mkdir(parents=True)
    (repo.root / ".runs").symlink_to(target)

    with pytest.raises(OrchgateError, match="leads into a git folder"):
        run_folder(str(repo.root), "0001-demo", "x")


def test_an_artifact_s_path_passes_no_link_at_all(repo: Repo) -> None:
    (repo.root / "src").mkdir()
    (repo.root / ".runs").symlink_to("src")

    with pytest.raises(OrchgateError, match=r"reached through a symbolic link: \.runs"):
        require_real(str(repo.root), ".runs/a/b")


def link_out(repo: Repo, name: str, tmp_path: Path) -> Path:
    """A link in the repository, and the folder outside that it leads to."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo.root / name).parent.mkdir(parents=True, exist_ok=True)
    (repo.root / name).symlink_to(outside)
    return outside


PIPELINE = '[[pipelines.p.stages]]\nid = "a"\nrun = ["true"]\n'
WRITING = {
    "run": ("run", "p", "--task", "t"),
    "observe": ("observe", "--task", "t", "--", "true"),
    "rlm": ("rlm", "--task", "t", "--goal", "g", "--agent", "true", "--validator", "true"),
}


@pytest.mark.slow
@pytest.mark.parametrize("verb", WRITING)
@pytest.mark.parametrize("link", [".runs", ".runs/t", ".runs/t/cli"])
def test_a_verb_that_records_does_not_follow_a_link_out(repo: Repo, tmp_path: Path, verb: str, link: str) -> None:
    repo.commit(files={"orchgate.toml": PIPELINE})
    outside = link_out(repo, link, tmp_path)

    done = repo.orchgate(*WRITING[verb])

    assert (done.code in {2, 3, 10}, os.listdir(outside)) == (True, []), done.out
    assert f"{link} is a symbolic link that leads out of the repository" in done.out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stages", "artifacts"])
def test_a_run_that_is_taken_up_does_not_follow_a_link_in_its_folder(repo: Repo, tmp_path: Path, name: str) -> None:
    repo.commit(files={"orchgate.toml": PIPELINE.replace("true", "false")})
    repo.orchgate("run", "p", "--task", "t")
    (folder,) = (repo.root / ".runs" / "t" / "cli").iterdir()
    outside = tmp_path / "outside"
    (folder / name).rename(outside)
    before = sorted(os.listdir(outside))
    (folder / name).symlink_to(outside)

    resumed = repo.orchgate("resume", "latest")

    assert (resumed.code, sorted(os.listdir(outside))) == (3, before), resumed.out


def test_metrics_that_a_link_leads_out_to_are_not_brought_up_to_date(
    repo: Repo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = link_out(repo, ".runs/t", tmp_path)
    (outside / "metrics.json").write_text('{"entry":1}\n')

    assert main(["metrics"]) == 3
    assert (os.listdir(outside), "leads out of the repository" in capsys.readouterr().out) == (["metrics.json"], True)


@pytest.mark.slow
def test_a_cache_that_a_link_leads_out_to_is_not_written(repo: Repo, tmp_path: Path) -> None:
    repo.commit(files={"orchgate.toml": PIPELINE + 'inputs = ["orchgate.toml"]\n'})
    outside = link_out(repo, ".runs/.cache", tmp_path)

    repo.orchgate("run", "p", "--task", "t")

    assert os.listdir(outside) == []


# A stranger's lock


def offer(pair: Pair, *paths: str) -> None:
    """A lock and a store in which somebody has pinned `x` under these paths."""
    pin(pair.one, {LOG: b"x\n"})
    pair.one.orchgate("evidence", "push")
    pair.other.write(PATH, render([Pinned(path, sha256(b"x\n"), 2) for path in paths]))


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["fetch", "verify", "push", f"show {LOG}", "pin"])
def test_no_verb_touches_git_s_files_for_a_lock(pair: Pair, verb: str) -> None:
    offer(pair, LOG, ".runs/.GIT/hooks/post-checkout", ".runs/x/git~1/config")

    done = pair.other.orchgate("evidence", *verb.split())

    assert (done.code, (pair.other.root / ".runs").exists()) == (3, False), done.out
    assert "git keeps for itself" in done.out


@pytest.mark.slow
def test_a_lock_makes_no_bare_repository(pair: Pair) -> None:
    offer(pair, LOG, *(f"out/x/{name}" for name in ("HEAD", "config", "objects/k", "refs/k")))

    done = pair.other.orchgate("evidence", "fetch")

    assert (done.code, (pair.other.root / "out").exists()) == (3, False), done.out
    assert "out/x would become a git folder" in done.out


@pytest.mark.slow
def test_a_lock_completes_no_bare_repository(pair: Pair) -> None:
    offer(pair, "out/x/config", "out/x/refs/k")
    pair.other.write("out/x/HEAD", "ref: refs/heads/x\n")
    pair.other.write("out/x/objects/k")

    assert pair.other.orchgate("evidence", "fetch").code == 3
    assert not (pair.other.root / "out/x/config").exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--force",)])
def test_a_file_that_git_tracks_is_not_written_over(pair: Pair, options: tuple[str, ...]) -> None:
    pair.other.write("orchgate.toml", '[evidence]\nroots = [".runs", "src"]\n')
    pair.other.commit(files={"src/a.py": "mine\n"})
    offer(pair, LOG, "src/a.py")

    done = pair.other.orchgate("evidence", "fetch", *options)

    assert (done.code, (pair.other.root / "src/a.py").read_text()) == (3, "mine\n"), done.out
    assert not (pair.other.root / LOG).exists()


@pytest.mark.slow
def test_an_artifact_is_not_written_through_a_link_inside(pair: Pair) -> None:
    pair.other.commit(files={"src/a.py": "mine\n"})
    (pair.other.root / "out").symlink_to("src")
    offer(pair, "out/b.py")

    done = pair.other.orchgate("evidence", "fetch")

    assert (done.code, os.listdir(pair.other.root / "src")) == (3, ["a.py"]), done.out


@pytest.mark.slow
@pytest.mark.parametrize("hook", ["reference-transaction", "post-index-change", "pre-auto-gc", "pre-push"])
@pytest.mark.parametrize("verb", ["fetch", "push"])
def test_evidence_travels_without_running_hooks(pair: Pair, tmp_path: Path, hook: str, verb: str) -> None:
    pin(pair.one, {LOG: b"built\n"})
    pair.one.orchgate("evidence", "push")
    share_lock(pair.one, pair.other)
    pair.other.write(".git/hooks/" + hook, f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    os.chmod(pair.other.root / ".git/hooks" / hook, 0o755)

    done = pair.other.orchgate("evidence", verb)

    assert (done.code in {0, 1}, (tmp_path / "ran").exists()) == (True, False), done.out


@pytest.mark.slow
def test_the_folder_of_a_run_is_written_as_before(pair: Pair) -> None:
    pin(pair.one, {LOG: b"built\n", f"{RUN}/HEAD": b"a log called HEAD\n"})
    pair.one.orchgate("evidence", "push")
    fresh = clone(pair.remote, pair.other.root.parent / "fresh")
    share_lock(pair.one, fresh)

    assert (fresh.orchgate("evidence", "fetch").code, (fresh.root / RUN / "HEAD").exists()) == (0, True)
