"""Pinning what documents cite, and judging it where the artifacts are not."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.evidence import lock as locks
from orchgate.evidence import pin as pins
from orchgate.evidence.lock import parse
from orchgate.evidence.lock_checks import SizeLimits
from tests.repo import Repo, clone
from tests.runs import TASK, Project
from tests.support import checked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUN = f".runs/{TASK}/cli/2026-01-06T09-26-22-129Z-c2f9cb47"
MANIFEST = f"{RUN}/manifest.json"
OTHER = f".runs/{TASK}/cli/2026-01-07T09-26-22-129Z-c2f9cb47/manifest.json"
NOTES = "docs/notes.md"
UNSIGNED = "1 pinned run without a signature: whoever writes a change can write a run and its pin, too"


def manifest(status: str = "succeeded", **more: object) -> str:
    return json.dumps({"task_id": TASK, "pipeline_id": "diagnostics", "status": status} | more, indent=2) + "\n"


def citing(*paths: str) -> str:
    return "# Notes\n\n" + "".join(f"- [x] Done - Evidence: `{path}`\n" for path in paths)


def findings(*args: str) -> list[str]:
    """Rules and lines of what the evidence check reports."""
    report = checked("evidence", *args)
    return [f"{one['rule']}:{one['line']}" for one in report["diagnostics"]]


def pinned(repo: Repo) -> set[str]:
    path = repo.root / locks.PATH
    return set(parse(path.read_bytes()).pins) if path.exists() else set()


@pytest.fixture
def cited(repo: Repo) -> Repo:
    """A repository whose one document cites one run, which only the disk has."""
    repo.commit(files={".gitignore": "/.runs/\n/out/\n", NOTES: citing(MANIFEST)})
    repo.write(MANIFEST, manifest())
    return repo


# The whole story


@pytest.fixture
def recorded(repo: Repo, tmp_path: Path) -> Repo:
    """A fresh clone, without any run, of a repository in which a run was recorded, cited and pinned."""
    project = Project(repo)
    repo.commit(files={".gitignore": "/.runs/\n", "a.py": "x = 1\n"})
    project.define("demo", {"id": "build", "run": ["echo", "built"]})
    assert project.run().code == 0
    (folder,) = project.folders()
    run = os.path.relpath(folder, repo.root)
    repo.stage(NOTES, citing(f"{run}/manifest.json", f"{run}/stages/01-build.log", f".runs/{TASK}/metrics.json"))
    assert repo.orchgate("evidence", "pin").code == 0
    repo.git("add", ".orchgate")
    repo.commit("evidence")
    return clone(repo, tmp_path / "clone")


@pytest.mark.slow
def test_a_fresh_clone_without_runs_passes(recorded: Repo) -> None:
    code, out = recorded.orchgate("check", "--all-files")

    assert (code, "4 pins" in out, (recorded.root / ".runs").exists()) == (0, True, False), out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        pytest.param(("succeeded", "failed"), "EVD007", id="a status in the lock"),
        pytest.param(("01-build.log", "01-built.log"), "EVD001", id="a path in the lock"),
        pytest.param(('"size"', '"sise"'), "trouble", id="a key of the lock"),
    ],
)
def test_an_edited_lock_is_caught_by_its_rule(recorded: Repo, edit: tuple[str, str], rule: str) -> None:
    text = (recorded.root / locks.PATH).read_text()
    recorded.stage(locks.PATH, text.replace(*edit))

    report = recorded.report("evidence", "--staged")

    (check,) = report["checks"]
    assert ([one["rule"] for one in report["diagnostics"]] or ["trouble"] * len(check["troubles"])) == [rule]


@pytest.mark.slow
def test_an_edited_link_is_caught(recorded: Repo) -> None:
    text = (recorded.root / NOTES).read_text()
    recorded.stage(NOTES, text.replace("/stages/01-build.log", "/stages/02-test.log"))

    assert [one["rule"] for one in recorded.report("--staged")["diagnostics"]] == ["EVD001"]


@pytest.mark.slow
def test_an_edited_byte_of_an_artifact_is_caught(cited: Repo) -> None:
    assert main(["evidence", "pin"]) == 0
    cited.git("add", ".orchgate")
    cited.write(MANIFEST, manifest("succeedeD"))

    assert findings("--all-files") == ["EVD008:3"]


@pytest.mark.slow
def test_an_edited_status_of_an_artifact_is_caught(cited: Repo) -> None:
    cited.write(MANIFEST, manifest("failed"))
    assert main(["evidence", "pin"]) == 0
    cited.git("add", ".orchgate")
    cited.write(MANIFEST, manifest())

    assert findings("--all-files") == ["EVD007:3", "EVD008:3"]


def test_a_lock_that_cannot_be_read_is_never_a_pass(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    cited.stage(locks.PATH, "<<<<<<< HEAD\n")

    assert main(["check", "evidence", "--all-files"]) == 3
    assert f"{locks.PATH}:1:1: could not check evidence: holds the marks of a merge" in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_judge_by_one_lock(cited: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["evidence", "pin"])
    (cited.root / MANIFEST).unlink()
    cited.git("add", ".orchgate")
    monkeypatch.setattr("orchgate.gate.whole.whole_tree.MANY_FILES", 1)
    monkeypatch.setattr("orchgate.gate.whole.whole_tree.cores", lambda: 2)

    report = checked("evidence", "documents", "--all-files")

    (check,) = [check for check in report["checks"] if check["id"] == "evidence"]
    assert (check["verdict"], check["examined"]) == ("pass", {"documents": 1, "links": 1, "pins": 1})


@pytest.mark.slow
def test_a_bare_repository_is_judged_by_its_lock(cited: Repo, tmp_path: Path) -> None:
    main(["evidence", "pin"])
    cited.git("add", ".orchgate")
    cited.commit("pinned")
    bare = clone(cited, tmp_path / "bare", "--bare")

    assert bare.orchgate("check", "evidence", "--all-files").code == 0


# What is pinned


def written(repo: Repo) -> tuple[int, int, bytes]:
    """The lock, and that nobody wrote it again; reading it may change when it was last read."""
    path = repo.root / locks.PATH
    return path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()


@pytest.mark.slow
def test_pinning_twice_changes_nothing(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evidence", "pin"])
    before = written(cited)
    capsys.readouterr()

    assert main(["evidence", "pin"]) == 0
    assert written(cited) == before
    assert capsys.readouterr().out == f"{locks.PATH}: 1 artifact, unchanged; 1 document read\n"


def test_a_folder_is_pinned_as_the_files_in_it(cited: Repo) -> None:
    cited.write(NOTES, citing(f"{RUN}/"))
    cited.write(f"{RUN}/stages/01-a.log")
    (cited.root / RUN / "link").symlink_to("manifest.json")

    main(["evidence", "pin"])

    assert pinned(cited) == {MANIFEST, f"{RUN}/stages/01-a.log"}


@pytest.mark.slow
def test_a_folder_of_very_many_files_is_named_and_not_pinned(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    cited.write(NOTES, citing("out/heap/"))
    for number in range(201):
        cited.write(f"out/heap/{number}")

    assert main(["evidence", "pin"]) == 1
    assert "out/heap means more than 200 files: link those that matter (docs/notes.md:3)" in capsys.readouterr().out


def test_patterns_are_pinned_as_what_they_match(cited: Repo) -> None:
    cited.write(NOTES, citing(".runs/*/cli/*/stages/*.log"))
    cited.write(f"{RUN}/stages/01-a.log")

    main(["evidence", "pin"])

    assert pinned(cited) == {f"{RUN}/stages/01-a.log"}


def test_what_git_tracks_is_not_pinned(cited: Repo) -> None:
    cited.write("out/tracked.txt")
    cited.git("add", "--force", "out/tracked.txt")
    cited.write(NOTES, citing("out/tracked.txt", "out/"))

    main(["evidence", "pin"])

    assert pinned(cited) == set()


def test_runs_that_git_forgot_to_ignore_are_pinned_all_the_same(cited: Repo) -> None:
    cited.write(".gitignore", "")

    main(["evidence", "pin"])

    assert pinned(cited) == {MANIFEST}


@pytest.mark.slow
def test_plans_and_guides_pin_nothing(cited: Repo) -> None:
    cited.write(NOTES, "# Notes\n\n- [ ] Later: `out/plan.txt`\n\nRuns leave `out/guide.txt` behind.\n")
    for name in ("plan", "guide"):
        cited.write(f"out/{name}.txt")

    main(["evidence", "pin"])

    assert pinned(cited) == set()


def test_nothing_to_pin_leaves_nothing_behind(repo: Repo) -> None:
    repo.commit(files={NOTES: "# Notes\n"})

    assert main(["evidence", "pin"]) == 0
    assert not (repo.root / ".orchgate").exists()


def test_what_is_neither_here_nor_pinned_is_said(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    cited.write(NOTES, citing(MANIFEST, OTHER))

    assert main(["evidence", "pin"]) == 0
    assert f"neither here nor pinned: {OTHER} (docs/notes.md:4)" in capsys.readouterr().out


@pytest.mark.slow
def test_of_very_much_that_is_not_here_the_first_is_named(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    cited.write(NOTES, citing(*(f"out/{number}.txt" for number in range(25))))

    assert main(["evidence", "pin"]) == 0
    said = capsys.readouterr().out
    assert (
        said.count("neither here nor pinned: out/"),
        "and 5 more; `orchgate check evidence --all-files` lists all" in said,
    ) == (20, True)


@pytest.mark.slow
def test_pins_of_what_is_elsewhere_are_kept(cited: Repo) -> None:
    main(["evidence", "pin"])
    (cited.root / MANIFEST).unlink()
    cited.write(NOTES, citing(MANIFEST, OTHER))
    cited.write(OTHER, manifest())

    assert main(["evidence", "pin"]) == 0
    assert pinned(cited) == {MANIFEST, OTHER}


@pytest.mark.slow
def test_pruning_drops_what_no_document_relies_on(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evidence", "pin"])
    cited.write(NOTES, "# Notes\n")
    main(["evidence", "pin"])

    assert pinned(cited) == {MANIFEST}
    assert "1 pin that no document cites: --prune drops it" in capsys.readouterr().out

    assert main(["evidence", "pin", "--prune"]) == 0
    assert pinned(cited) == set()
    assert f"dropped: {MANIFEST}" in capsys.readouterr().out


@pytest.mark.slow
def test_nothing_is_pruned_while_a_document_cannot_be_read(cited: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["evidence", "pin"])
    cited.write(NOTES, "# Notes\n" + "x" * 100)
    monkeypatch.setattr("orchgate.commands.evidence.cited.MAX_DOCUMENT_BYTES", 50)

    assert main(["evidence", "pin", "--prune"]) == 3
    assert pinned(cited) == {MANIFEST}


def test_checking_writes_nothing(cited: Repo) -> None:
    assert main(["evidence", "pin", "--check"]) == 1
    assert not (cited.root / ".orchgate").exists()


@pytest.mark.slow
def test_checking_passes_when_there_is_nothing_to_do(cited: Repo) -> None:
    main(["evidence", "pin"])

    assert main(["evidence", "pin", "--check"]) == 0


@pytest.mark.slow
def test_a_path_is_read_from_the_current_folder(cited: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cited.root / RUN)

    assert main(["evidence", "pin", "manifest.json"]) == 0
    assert pinned(cited) == {MANIFEST}


@pytest.mark.parametrize("path", ["docs/notes.md", "/etc/passwd", "../x", ".runs/../docs/notes.md"])
def test_only_artifacts_are_pinned(cited: Repo, path: str) -> None:
    assert main(["evidence", "pin", path]) == 2


# What is refused


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def leading_out(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def into_git(path: Path) -> None:
    path.symlink_to("../.git/HEAD")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (fifo, "is a named pipe"),
    (folder, "is a directory"),
    (leading_out, "leads out of the repository"),
    (device, "leads out of the repository"),
    (dangling, "is a link that leads nowhere"),
    (into_git, "leads out of the repository"),
    (huge, "is 2147483648 bytes long, limit 67108864"),
    (lambda path: None, "is not on disk"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED, ids=[reason[:40] for _, reason in REFUSED])
def test_what_is_no_file_of_ours_is_refused_by_name(
    cited: Repo, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None], reason: str
) -> None:
    (cited.root / "out").mkdir()
    make(cited.root / "out" / "thing.txt")

    assert main(["evidence", "pin", "out/thing.txt", MANIFEST]) == 1
    assert f"not pinned: out/thing.txt {reason}" in capsys.readouterr().out
    assert pinned(cited) == {MANIFEST}


def test_a_file_that_may_not_be_read_is_refused(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    cited.write("out/secret.txt")
    (cited.root / "out" / "secret.txt").chmod(0)
    if os.access(cited.root / "out" / "secret.txt", os.R_OK):
        pytest.skip("root reads everything")

    assert main(["evidence", "pin", "out/secret.txt"]) == 1
    assert "not pinned: out/secret.txt cannot be opened: Permission denied" in capsys.readouterr().out


def test_a_manifest_that_cannot_be_read_is_refused(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    cited.write(MANIFEST, '{"status": ')

    assert main(["evidence", "pin"]) == 1
    assert f"not pinned: {MANIFEST} is truncated" in capsys.readouterr().out


def test_the_limit_of_an_artifact_is_configurable(cited: Repo) -> None:
    cited.write("orchgate.toml", "[evidence]\nmax-artifact-bytes = 1024\n")
    cited.write("out/a.txt", "x" * 1025)

    assert main(["evidence", "pin", "out/a.txt"]) == 1


def test_a_link_that_stays_inside_is_not_followed(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    (cited.root / "out").symlink_to(".runs")

    assert main(["evidence", "pin", MANIFEST.replace(".runs", "out")]) == 1
    assert f"link and pin {MANIFEST}" in capsys.readouterr().out


def test_a_lock_folder_that_leads_elsewhere_is_refused(cited: Repo, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (cited.root / ".orchgate").symlink_to(tmp_path / "elsewhere")

    assert main(["evidence", "pin"]) == 3
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_lock(cited: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["evidence", "pin"])
    before = (cited.root / locks.PATH).read_bytes()
    cited.write(NOTES, citing(MANIFEST, OTHER))
    cited.write(OTHER, manifest())
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    assert main(["evidence", "pin"]) == 3
    assert [(path.name, path.read_bytes()) for path in sorted((cited.root / ".orchgate").iterdir())] == [
        (".gitattributes", f"{pins.ATTRIBUTES}\n".encode()),
        ("evidence.lock", before),
    ]


@pytest.mark.slow
def test_two_who_pin_at_once_lose_nothing(cited: Repo) -> None:
    disk = SizeLimits(10**6, 10**6)
    from orchgate.references.artifacts import Artifacts

    names = [f"out/{number}.txt" for number in range(20)]
    for name in names:
        cited.write(name)
    artifacts = Artifacts(str(cited.root), (".runs", "out"))
    threads = [
        threading.Thread(
            target=pins.update, args=(str(cited.root), lambda data, name=name: pins.plan(data, [name], artifacts, disk))
        )
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert pinned(cited) == set(names)


# Merges


def test_a_conflict_is_resolved_by_what_is_on_disk(cited: Repo) -> None:
    main(["evidence", "pin"])
    header, mine = (cited.root / locks.PATH).read_text().splitlines(keepends=True)
    theirs = mine.replace("succeeded", "failed")
    cited.write(locks.PATH, f"{header}<<<<<<< ours\n{mine}=======\n{theirs}>>>>>>> theirs\n")

    assert main(["evidence", "pin"]) == 0
    assert (cited.root / locks.PATH).read_text() == header + mine


@pytest.mark.slow
def test_a_conflict_about_what_is_not_here_is_left_to_people(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    main(["evidence", "pin"])
    header, mine = (cited.root / locks.PATH).read_text().splitlines(keepends=True)
    text = f"{header}<<<<<<< ours\n{mine}=======\n{mine.replace('succeeded', 'failed')}>>>>>>> theirs\n"
    cited.write(locks.PATH, text)
    (cited.root / MANIFEST).unlink()

    assert main(["evidence", "pin"]) == 3
    assert f"{locks.PATH}:5: lines 3 and 5 pin {MANIFEST} differently" in capsys.readouterr().err
    assert (cited.root / locks.PATH).read_text() == text


# verify


@pytest.mark.slow
def test_verify_tells_what_holds(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("out/a.txt", "out/b.txt"):
        cited.write(name)
    main(["evidence", "pin", MANIFEST, "out/a.txt", "out/b.txt"])
    cited.write("out/a.txt", "y\n")
    (cited.root / "out" / "b.txt").unlink()
    capsys.readouterr()

    assert main(["evidence", "verify"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "changed: out/a.txt has other content of the same length",
        "3 pinned artifacts: 1 ok, 1 changed, 1 missing here",
        UNSIGNED,
    ]


@pytest.mark.slow
def test_verify_passes_on_a_clean_clone(recorded: Repo) -> None:
    assert recorded.orchgate("evidence", "verify") == (0, f"4 pinned artifacts: 0 ok, 4 missing here\n{UNSIGNED}\n")


def test_verify_says_that_nothing_is_pinned(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evidence", "verify"]) == 0
    assert capsys.readouterr().out == f"nothing is pinned: {locks.PATH} is not here or empty\n"


# check --fix


@pytest.mark.slow
def test_fix_pins_what_is_on_disk_and_leaves_the_index_alone(cited: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    cited.stage(NOTES, citing(MANIFEST, OTHER))
    index = (cited.root / ".git" / "index").read_bytes()

    assert main(["check", "evidence", "--staged", "--fix"]) == 1  # the other run is nowhere

    assert pinned(cited) == {MANIFEST}
    assert (cited.root / ".git" / "index").read_bytes() == index
    assert f"pinned: {MANIFEST}" in capsys.readouterr().err


@pytest.mark.slow
def test_fix_never_takes_an_altered_artifact_for_the_real_one(cited: Repo) -> None:
    main(["evidence", "pin"])
    cited.git("add", ".orchgate")
    before = (cited.root / locks.PATH).read_bytes()
    cited.write(MANIFEST, manifest(more="x"))

    assert main(["check", "evidence", "--all-files", "--fix"]) == 1
    assert (cited.root / locks.PATH).read_bytes() == before


@pytest.mark.slow
def test_fix_keeps_the_report_readable_for_programs(cited: Repo) -> None:
    assert checked("evidence", "--all-files", "--fix")["verdict"] == "pass"


# EVD010


@pytest.mark.slow
def test_what_the_default_asks_for_is_owed_by_a_finished_packet(repo: Repo) -> None:
    stage = 'stages = [{ id = "a", run = ["true"] }]\n'
    repo.stage("orchgate.toml", f"[pipelines.diagnostics]\n{stage}")
    repo.stage("docs/PRD-demo.md", "# PRD\n")
    repo.stage(f"tasks/tasks-{TASK}.md", "# Task\n\n- [x] Done - Evidence: `docs/PRD-demo.md`\n")

    report = checked("evidence", "--staged")

    assert [(one["rule"], one["severity"]) for one in report["diagnostics"]] == [("EVD010", "error")] * 2


def test_a_finished_packet_owes_them_also_where_another_one_begins_with_its_document(repo: Repo) -> None:
    """Of the packet `demo`, which is open, the PRD is the first document; of `PRD-demo` it is the checklist."""
    stage = 'stages = [{ id = "a", run = ["true"] }]\n'
    places = '[documents.paths]\nchecklist = "docs/{task}.md"\n'
    repo.stage("orchgate.toml", f'{places}[evidence]\nrequired-runs = ["build"]\n[pipelines.build]\n{stage}')
    repo.stage("docs/PRD-demo.md", "# PRD\n\n- [x] Done - Evidence: `orchgate.toml`\n")

    report = checked("evidence", "--staged")

    assert [(one["rule"], one["path"]) for one in report["diagnostics"]] == [("EVD010", "docs/PRD-demo.md")]
