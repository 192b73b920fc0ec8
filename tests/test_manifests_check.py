from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orchgate.checks.manifests import CHECK
from orchgate.errors import OrchgateError, Unreadable
from orchgate.git.snapshot import FolderSnapshot, TreeEntry
from orchgate.lib.forks import spread
from orchgate.model import Location, Severity
from orchgate.runs import locate
from orchgate.runs.machine import is_alive, silence
from orchgate.runs.run import RunnerProcess, decode
from tests.journals import recorded
from tests.manifest_samples import PATH, RUN, TASK, encoded, january, own
from tests.support import NOW, describe, folder_context, judge_folder, write_tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchgate.model import Outcome

FOLDER = PATH.removesuffix("/manifest.json")
LOGS: dict[str, str | bytes] = {f"{FOLDER}/commands/01-compile.ndjson": "", f"{FOLDER}/commands/02-test.ndjson": ""}


def judge(root: Path, files: dict[str, str | bytes] | None = None) -> Outcome:
    write_tree(root, {"README.md": "# x\n", **(files or {})})
    return judge_folder(CHECK, root, tree=True)


def this_process() -> RunnerProcess:
    with open("/proc/sys/kernel/random/boot_id") as boot, open("/proc/self/stat") as stat:
        ticks = int(stat.read().rpartition(")")[2].split()[19])
        namespace = os.readlink("/proc/self/ns/pid")
        return RunnerProcess(pid=os.getpid(), start_ticks=ticks, boot_id=boot.read().strip(), pid_namespace=namespace)


def test_counts_what_it_looked_at(tmp_path: Path) -> None:
    assert judge(tmp_path, {PATH: encoded(january()), **LOGS}).examined == {"manifests": 1}


def test_says_that_there_was_nothing(tmp_path: Path) -> None:
    assert judge(tmp_path).examined == {"manifests": 0}


def test_a_named_pipe_in_its_place_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    os.mkfifo(tmp_path / PATH)

    assert describe(judge(tmp_path)) == [f"{PATH}: MAN001 error is a named pipe, not a regular file (hint)"]


def test_a_dangling_link_in_its_place_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / PATH).symlink_to("nowhere")

    assert describe(judge(tmp_path)) == [f"{PATH}: MAN001 error is a link that leads nowhere (hint)"]


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_what_is_reached_by_leaving_the_repository_is_not_looked_at(tmp_path: Path, depth: int) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    write_tree(outside, {PATH: b"not JSON"})
    parts = PATH.split("/")[:depth]
    (root.joinpath(*parts[:-1])).mkdir(parents=True)
    root.joinpath(*parts).symlink_to(outside.joinpath(*parts))

    assert judge(root).examined == {"manifests": 0}


def test_links_within_the_repository_are_followed(tmp_path: Path) -> None:
    write_tree(
        tmp_path, {path.replace(".runs", "kept"): text for path, text in {**LOGS, PATH: encoded(january())}.items()}
    )
    (tmp_path / ".runs").symlink_to("kept")

    found = judge(tmp_path)

    assert (found.examined, found.findings) == ({"manifests": 1}, ())


def test_a_cycle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / ".runs" / "task").mkdir(parents=True)
    (tmp_path / ".runs" / "task" / "cli").symlink_to("cli")

    assert judge(tmp_path).examined == {"manifests": 0}


def test_what_the_system_refuses_is_trouble_and_not_a_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, limit: int) -> bytes:
        raise Unreadable(path, "cannot be read: Permission denied")

    monkeypatch.setattr(locate, "read_file", refuse)

    assert describe(judge(tmp_path, {PATH: b"{}"})) == [f"trouble: {PATH}: cannot be read: Permission denied"]


def test_a_folder_that_cannot_be_listed_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    context = folder_context(write_tree(tmp_path, {PATH: b"{}"}), tree=True)
    assert context.snapshot.entries == {}
    monkeypatch.setattr(os, "scandir", refuse)

    assert describe(CHECK.run(context)) == [
        "trouble: .runs: cannot be listed: Permission denied",
        "trouble: out: cannot be listed: Permission denied",
    ]


def test_a_tracked_manifest_is_read_from_the_tree_and_not_from_disk(tmp_path: Path) -> None:
    class Tree(FolderSnapshot):
        entries = {PATH: TreeEntry("100644", "1" * 40)}  # noqa: RUF012 -- a stand-in

        def read(self, path: str, limit: int = 0) -> bytes:
            return encoded(january(status="done"))

    context = folder_context(write_tree(tmp_path, {PATH: encoded(january()), **LOGS}), tree=True)
    context = context._replace(snapshot=Tree(str(tmp_path)))

    assert [finding.rule for finding in CHECK.run(context).findings] == ["MAN002"]


def test_a_manifest_that_the_tree_cannot_give_is_trouble(tmp_path: Path) -> None:
    class Tree(FolderSnapshot):
        entries = {PATH: TreeEntry("100644", "1" * 40)}  # noqa: RUF012 -- a stand-in

        def read(self, path: str, limit: int = 0) -> bytes:
            raise Unreadable(path, "object 111 is missing from this repository")

    context = folder_context(tmp_path, tree=True)._replace(snapshot=Tree(str(tmp_path)))

    assert describe(CHECK.run(context)) == [f"trouble: {PATH}: object 111 is missing from this repository"]


def test_a_submodule_in_its_place_is_a_finding(tmp_path: Path) -> None:
    class Tree(FolderSnapshot):
        entries = {PATH: TreeEntry("160000", "1" * 40)}  # noqa: RUF012 -- a stand-in

    context = folder_context(tmp_path, tree=True)._replace(snapshot=Tree(str(tmp_path)))

    assert describe(CHECK.run(context)) == [f"{PATH}: MAN001 error is a submodule, not a regular file (hint)"]


def test_logs_that_were_never_tracked_do_not_block(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        PATH.replace(".runs", "kept"): encoded(january()),
        "orchgate.toml": '[evidence]\nroots = ["kept"]\n',
    }

    assert {finding.severity for finding in judge(tmp_path, files).findings} == {Severity.WARNING}


def test_a_task_may_have_an_odd_name(tmp_path: Path) -> None:
    odd = b"a\nb \x1b[31m\xff -x".decode("utf-8", "surrogateescape")
    found = judge(
        tmp_path, {PATH.replace(TASK, odd): encoded(january()), **{k.replace(TASK, odd): v for k, v in LOGS.items()}}
    )

    assert [finding.rule for finding in found.findings] == ["MAN004"]


def test_a_run_whose_process_lives_is_not_abandoned(tmp_path: Path) -> None:
    process = this_process()
    named = process.asdict()

    run = recorded(own(status="in_progress", completed_at=None, commands=[], writes=None, process=named))

    assert judge(tmp_path, {f"{FOLDER}/{name}": data for name, data in run.items()}).findings == ()


@pytest.mark.parametrize(
    "other",
    [{"start_ticks": 1}, {"boot_id": "another"}, {"pid_namespace": "pid:[1]"}, {"pid": 2**22 + 1}],
    ids=lambda other: next(iter(other)),
)
def test_another_process_does_not_pass_for_the_runner(other: dict[str, int | str]) -> None:
    process = this_process()
    stranger = RunnerProcess(**(process.asdict() | other))

    assert (is_alive(process), is_alive(stranger)) == (True, False)


@pytest.mark.parametrize("content", [b"", b"soon\n", b"2026-03-01T11:00:00", b"\xff" * 200])
def test_a_heartbeat_that_says_nothing_is_not_believed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".heartbeat").write_bytes(content)
    run = decode(encoded(january(status="in_progress", completed_at=None)))

    assert silence(run, str(tmp_path), NOW) == NOW - run.last_sign_of_life


def test_a_heartbeat_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".heartbeat")
    run = decode(encoded(january(status="in_progress", completed_at=None)))

    assert silence(run, str(tmp_path), NOW) == NOW - run.last_sign_of_life


@pytest.mark.parametrize(
    "path",
    [
        f".runs/{TASK}/{RUN}/manifest.json",
        f".runs/{TASK}/mcp/{RUN}/manifest.json",
        f".runs/{TASK}/local-mcp/{RUN}/manifest.json",
        f".runs/{TASK}/cli/{RUN}/artifacts/manifest.json",
        f".runs/{TASK}/cli/manifest.json",
        f"docs/.runs/{TASK}/cli/{RUN}/manifest.json",
        f".runs/{TASK}/cli/{RUN}/manifest.json.tmp",
        "manifest.json",
    ],
)
def test_other_files_of_that_name_are_no_manifests(path: str) -> None:
    assert locate.place_of(path, (".runs", "out")) is None


def test_a_manifests_path_names_its_task_and_run() -> None:
    assert locate.place_of(PATH, (".runs", "out")) == (".runs", TASK, RUN)


def test_no_roots_means_no_manifests() -> None:
    assert locate.place_of(PATH, ()) is None


def test_a_megabyte_of_beginnings_is_searched_in_no_time() -> None:
    assert list(locate.mentioned(".runs/a/cli/" * 90_000 + "[" * 100_000, (".runs",))) == []


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_the_result_is_the_same_however_many_processes_share_the_work(
    parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchgate.lib.forks.cores", lambda: parts)

    results = spread(list, range(41), worth_it=10)

    assert (len(results), [item for part in results for item in part]) == (parts, list(range(41)))


@pytest.mark.slow
def test_a_crash_in_another_process_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(part: Sequence[int]) -> None:
        if 39 in part:
            raise ValueError(Location("x"))

    monkeypatch.setattr("orchgate.lib.forks.cores", lambda: 2)

    with pytest.raises(ValueError, match="Location"):
        spread(work, range(40), worth_it=10)


@pytest.mark.slow
def test_a_killed_process_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(part: Sequence[int]) -> None:
        if 39 in part:
            os.kill(os.getpid(), 9)

    monkeypatch.setattr("orchgate.lib.forks.cores", lambda: 2)

    with pytest.raises(OrchgateError, match="killed"):
        spread(work, range(40), worth_it=10)
