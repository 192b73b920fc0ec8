"""Files of a stranger's that are none: nobody waits for them, reads without end, or writes through them."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.config.load import load_work_tree
from orchgate.errors import ConfigError, OrchgateError
from orchgate.evidence import lock
from orchgate.git.state import PendingStatus
from orchgate.lib import files
from orchgate.runner.writer import encode_entry
from orchgate.runs import journal
from tests import serving
from tests.journals import events_of
from tests.manifest_samples import encoded, own
from tests.repo import Repo, clone
from tests.strangers import CONFIGURATION, RUN, SHAPES, TASK, Stranger, listing
from tests.test_store import LOG, Pair, pair, pin

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["pair"]  # a fixture

MEMORY = 1 << 30  # bytes that a reader may have
PATIENCE = 300  # seconds, which only a hang takes: the machine may be busy
FOLDER = f".runs/{TASK}/cli/{RUN}"
PLAN = "docs/ACTION_PLAN-demo.md"
SUMMARIZE = f"evidence summarize --task {TASK} --before {RUN} --after latest"
# What is read at each place.
PLACES = {
    f"{FOLDER}/manifest.json": (f"status {RUN}", "hotspots", "check --all-files", "evidence pin", SUMMARIZE),
    f"{FOLDER}/events.jsonl": (f"status {RUN}", "hotspots", "check --all-files", "evidence pin"),
    f"{FOLDER}/stages/01-build.log": ("hotspots", "evidence pin"),
    f".runs/{TASK}/metrics.json": ("metrics", "status"),
    f".runs/{TASK}/aggregate.json": ("metrics",),
    ".git/orchgate/writing": ("metrics", "evidence pin", "init --native"),
    ".git/orchgate/writing/.orchgate-0123456789abcdef.tmp": ("metrics", "evidence pin"),
    ".git/orchgate/locks/records": ("evidence pin",),
    f"out/{TASK}/state.json": ("metrics",),
    lock.PATH: ("evidence verify", "evidence pin", "check --all-files --fix"),
    ".orchgate/baseline.json": ("baseline show",),
    "orchgate.toml": ("plan", "new faster-start", "evidence verify", "init --dry-run"),
    "pyproject.toml": ("plan",),
    "tasks/index.json": ("new faster-start",),
    PLAN: ("evidence pin", SUMMARIZE),
    "codex.orchestrator.json": ("plan",),
    "package.json": ("plan", "init --dry-run"),
    ".pre-commit-config.yaml": ("init --dry-run",),
    ".git/hooks/pre-commit": ("init --dry-run", "init --dry-run --native"),
    ".git/MERGE_HEAD": ("check --staged",),
}


def project(repo: Repo) -> Repo:
    """A repository with a packet, a run of ours and its metrics."""
    evidence = f"# Task\n\n- [x] A - Evidence: `{FOLDER}/manifest.json`\n"
    repo.commit(
        files={"tasks/tasks-0001-demo.md": evidence, PLAN: "# ACTION PLAN - demo\n", ".gitignore": ".runs/\nout/\n"}
    )
    document = own(run_id=RUN, task_id=TASK)
    repo.write(f"{FOLDER}/manifest.json", encoded(document))
    repo.write(f"{FOLDER}/events.jsonl", b"".join(journal.encode(event) + b"\n" for event in events_of(document)))
    entry = {key: document[key] for key in ("run_id", "pipeline_id", "status", "started_at", "completed_at")}
    repo.write(f".runs/{TASK}/metrics.json", encode_entry({"entry": 1} | entry) + b"\n")
    return repo


def bounded(repo: Repo, line: str) -> tuple[int, str]:
    """Exit code and output of the program, which may not take more memory than that."""
    ended = serving.call(line.split(), str(repo.root), os.environ, together=True, memory=MEMORY, seconds=PATIENCE)
    return ended.code, os.fsdecode(ended.out)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("place", PLACES)
def test_whatever_stands_in_the_place_of_a_file_there_is_an_answer(repo: Repo, place: str, shape: str) -> None:
    path = project(repo).root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    SHAPES[shape](path)

    answers = [bounded(repo, line) for line in PLACES[place]]

    assert {code for code, _ in answers} <= {0, 1, 2, 3}, answers
    assert not any("internal error" in said for _, said in answers), answers


FOLDERS = (
    ".runs",
    f".runs/{TASK}",
    f".runs/{TASK}/cli",
    FOLDER,
    f"{FOLDER}/stages",
    "out",
    "docs",
    "tasks",
    ".orchgate",
)
EVERYTHING = (*dict.fromkeys(line for lines in PLACES.values() for line in lines), "check --staged", "status")


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_is_written_behind_a_folder_that_a_link_leads_out_to(repo: Repo, tmp_path: Path, folder: str) -> None:
    there = project(repo).root / folder
    there.mkdir(parents=True, exist_ok=True)
    there.rename(tmp_path / "outside")
    there.symlink_to(tmp_path / "outside")
    before = listing(tmp_path / "outside")

    answers = [bounded(repo, line) for line in EVERYTHING]

    assert listing(tmp_path / "outside") == before
    assert {code for code, _ in answers} <= {0, 1, 2, 3}, answers


# Writers


@pytest.mark.parametrize("shape", ["pipe", "endless", "nowhere", "itself"])
def test_a_half_written_file_that_is_none_is_not_waited_for_nor_followed(tmp_path: Path, shape: str) -> None:
    SHAPES[shape](tmp_path / ".orchgate-0123456789abcdef.tmp")

    files.replace(str(tmp_path / "a"), b"x")

    assert (tmp_path / "a").read_bytes() == b"x"


def test_a_half_written_file_with_another_name_elsewhere_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"mine")
    (tmp_path / ".orchgate-0123456789abcdef.tmp").hardlink_to(tmp_path / "other")

    files.replace(str(tmp_path / "a"), b"x")

    assert (tmp_path / "other").read_bytes() == b"mine"


def test_a_pipe_takes_no_lines(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.json")

    with pytest.raises(files.WriteError, match="not a regular file"):
        files.open_appending(str(tmp_path / "metrics.json"))


def test_a_hook_that_is_a_link_is_not_written_through(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    (repo.root / ".git/hooks").mkdir(exist_ok=True)
    (repo.root / ".git/hooks/pre-commit").symlink_to(tmp_path / "empty")

    assert (main(["init", "--native"]), (tmp_path / "empty").read_text()) == (3, "")


def test_a_plan_that_is_a_link_is_not_taken_for_one_of_ours(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("# ACTION PLAN - demo\n")
    plan = project(repo).root / PLAN
    plan.unlink()
    plan.symlink_to(tmp_path / "secret")

    code = main([*f"evidence summarize --task {TASK} --before {RUN} --after {RUN}".split()])

    assert (code in {2, 3}, plan.is_symlink()) == (True, True)


# Readers


@pytest.mark.parametrize("shape", ["pipe", "endless", "itself", "nowhere", "folder", "huge"])
def test_a_configuration_that_is_no_file_is_refused(tmp_path: Path, shape: str) -> None:
    SHAPES[shape](tmp_path / "orchgate.toml")

    with pytest.raises(ConfigError, match=r"^orchgate\.toml: "):
        load_work_tree(str(tmp_path))


@pytest.mark.parametrize("shape", ["pipe", "endless", "folder", "huge"])
def test_a_file_is_read_up_to_its_limit_or_not_at_all(tmp_path: Path, shape: str) -> None:
    SHAPES[shape](tmp_path / "a")

    with pytest.raises(OSError, match=r"directory|regular|larger"):
        files.read(str(tmp_path / "a"), 100)


@pytest.mark.parametrize("size", [0, 99, 100])
def test_a_file_within_its_limit_is_read_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * size)

    assert files.read(str(tmp_path / "a"), 100) == b"x" * size


def test_a_journal_of_millions_of_events_is_refused() -> None:
    with pytest.raises(OrchgateError, match="more than"):
        journal.parse(b'{"at":""}\n' * (journal.MAX_LINES + 1))


@pytest.mark.slow
def test_a_checkpoint_without_end_is_made_anew(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    SHAPES["huge"](project(repo).root / f".runs/{TASK}/aggregate.json")

    assert main(["metrics"]) == 0
    assert "the checkpoint cannot be read: it is larger than" in capsys.readouterr().out


# Programs


@pytest.mark.slow
@pytest.mark.parametrize("touched", [False, True])
def test_a_filter_is_not_asked_whether_a_file_changed(repo: Repo, tmp_path: Path, touched: bool) -> None:
    from orchgate.git.repository import open_repository

    repo.git("config", "filter.x=y.clean", f"touch {tmp_path}/ran; tr a b")
    repo.commit(files={".gitattributes": "*.txt filter=x=y\n", "f.txt": "a\n"})
    (tmp_path / "ran").unlink()
    os.utime(repo.root / "f.txt", (1, 1) if touched else None)

    with PendingStatus(open_repository(str(repo.root), os.environ), filters=False) as question:
        pass

    assert (question.answer() is not None, (tmp_path / "ran").exists()) == (True, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["check", "check --staged", "check --all-files", "check --commit HEAD", "hook pre-commit"]
)
def test_a_pipeline_is_not_measured_before_it_is_pushed(repo: Repo, tmp_path: Path, line: str) -> None:
    (tmp_path / "ran").mkdir()
    repo.commit(files={"orchgate.toml": CONFIGURATION.format(ran=tmp_path / "ran")})
    repo.commit(files={"a.py": "1\n"})
    repo.stage("a.py", "2\n")

    main(line.split())

    assert os.listdir(tmp_path / "ran") == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["fetch", "push"])
def test_evidence_travels_without_the_programs_of_a_configuration(pair: Pair, tmp_path: Path, verb: str) -> None:
    made = Stranger(pair.other, tmp_path / "outside")
    for name in ("bin", "ran"):
        (made.outside / name).mkdir(parents=True)
    pin(pair.one, {LOG: b"built\n"})
    pair.one.orchgate("evidence", "push")
    pin(pair.other, {LOG.replace("01", "02"): b"else\n"})
    alternate = clone(pair.remote, tmp_path / "alternate")
    made.repo.write(".git/objects/info/alternates", f"{alternate.root}/.git/objects\n")
    for key in ("core.alternateRefsCommand", "gc.recentObjectsHook", "core.fsmonitor", "core.pager", "gpg.program"):
        made.repo.git("config", key, made.program(key))
    for key, value in (
        ("gc.auto", "1"),
        ("commit.gpgSign", "true"),
        ("remote.origin.fetch", "+refs/orchgate/*:refs/heads/*"),
    ):
        made.repo.git("config", key, value)

    done = made.repo.orchgate("evidence", verb)

    assert (done.code in {0, 1}, made.ran) == (True, set()), done.out
    assert verb == "push" or "refs/heads/evidence" not in made.repo.git("for-each-ref")


def test_a_name_in_a_hint_is_no_command(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    name = "$(touch x)"
    paths = (f".runs/{name}/a", f".runs/{name}/b")
    repo.commit(files={lock.PATH: lock.render([lock.Pinned(path, "a" * 64, 1) for path in paths])})

    main(["evidence", "show", f".runs/{name}"])

    hint = capsys.readouterr().err.partition("hint: ")[2].strip()
    assert shlex.split(hint) == ["orchgate", "evidence", "show", paths[0]]
