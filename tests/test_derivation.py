"""A manifest is held against its journal: by the gate, by pins, and by every table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cli import main
from orchgate.evidence.lock import PATH as LOCK
from orchgate.evidence.lock import Pinned, render
from orchgate.runs import journal, state
from orchgate.runs.journal import difference
from tests.journals import events_of, journal_for, recorded
from tests.manifest_samples import PATH, RUN, TASK, january, own
from tests.support import checked
from tests.work import growth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo

FOLDER = PATH.removesuffix("/manifest.json")
EVENTS = list(events_of(own()))


def document(events: list[dict[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(json.dumps(state.manifest(events)))
    return read


def lines(events: list[dict[str, Any]]) -> bytes:
    return b"".join(journal.encode(event) + b"\n" for event in events)


@pytest.mark.parametrize(
    "changed", [{}, {"commands": []}, {"summary": 'é "\n\u2028', "flaky": ["a\nb"], "metrics": {"x": 1.5}}]
)
def test_a_manifest_is_written_as_json_indents_it(changed: dict[str, Any]) -> None:
    written = document(EVENTS) | changed

    assert state.render(written) == (json.dumps(written, ensure_ascii=False, indent=2) + "\n").encode()


def test_a_manifest_as_its_run_left_it_is_fine() -> None:
    assert difference(document(EVENTS), lines(EVENTS)) is None


@pytest.mark.parametrize("length", range(1, len(EVENTS)))
def test_a_manifest_of_an_earlier_moment_is_fine(length: int) -> None:
    assert difference(document(EVENTS[:length]), lines(EVENTS)) is None


def test_a_success_of_an_earlier_moment_is_not() -> None:
    resumed = {"event": "resume", "at": "2026-01-06T10:00:00.000Z", "reason": "x", "process": None, "git": None}
    failed = {**EVENTS[-1], "at": "2026-01-06T10:00:01.000Z", "status": "failed"}

    assert difference(document(EVENTS), lines([*EVENTS, resumed, failed])) is not None


def test_a_line_that_was_never_finished_counts_for_nothing() -> None:
    assert difference(document(EVENTS), lines(EVENTS) + b'{"event":"fin') is None


def edited(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    changed = document(EVENTS)
    change(changed)
    return changed


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "status": lambda it: it.update(status="failed"),
    "another stage's status": lambda it: it["commands"][0].update(status="skipped"),
    "exit code": lambda it: it["commands"][1].update(exit_code=1),
    "an attempt that is gone": lambda it: it["commands"][0].update(attempts=[]),
    "a stage that is gone": lambda it: it["commands"].pop(),
    "a stage more": lambda it: it["commands"].append(it["commands"][0]),
    "seconds": lambda it: it["usage"].update(user_seconds=0.1),
    "a metric": lambda it: it.update(metrics={"speedup": 2}),
    "tests": lambda it: it.update(tests={"passed": 9, "failed": 0, "skipped": 0, "errors": 0}),
    "flaky": lambda it: it.update(flaky=["test"]),
    "the tree": lambda it: it["git"].update(tree="3" * 40),
    "clean": lambda it: it["git"].update(dirty=True),
    "the machine": lambda it: it["machine"].update(fingerprint="f" * 16),
    "the pipeline": lambda it: it.update(pipeline_id="diagnostics"),
    "the task": lambda it: it.update(task_id="0002-other"),
    "the end": lambda it: it.update(completed_at="2026-01-06T09:26:24.000Z"),
    "a time that no event has": lambda it: it.update(status="failed", updated_at="2026-01-06T09:26:49.001Z"),
    "a key less": lambda it: it.pop("summary"),
    "a key more": lambda it: it.update(verified=True),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_every_edit_is_found(edit: Callable[[dict[str, Any]], object]) -> None:
    assert difference(edited(edit), lines(EVENTS)) is not None


HOSTILE = [
    b"",
    b"\n\n",
    b"null\n",
    b"[]\n",
    b"{}\n",
    b'{"event":"run"}\n',
    b'{"event":"run","at":"x"}\n',
    b'{"event":"finish","at":"x"}\n',
    lines(EVENTS[1:]),
    lines([EVENTS[0], {**EVENTS[1], "stage": 99}]),
    lines([EVENTS[0], {**EVENTS[1], "stage": "one"}]),
    lines([EVENTS[0], {**EVENTS[2], "usage": "much"}]),
    lines([EVENTS[0], {"event": "end", "at": "x", "stage": 1}]),
    lines([{**EVENTS[0], "pipeline": None}]),
    lines([{**EVENTS[0], "stages": 5}]),
    lines([EVENTS[0], {"event": "from-the-future", "at": "x"}]),
    b'{"event":"run","at":"x","a":' + b"[" * 100_000 + b"\n",
    b"\xff\xfe\n",
    b"\0" * 100,
]


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
def test_a_journal_that_is_none_proves_nothing(data: bytes) -> None:
    problem = difference(document(EVENTS), data)

    assert problem is not None
    assert "its journal cannot be read" in problem.message


@pytest.mark.slow
def test_a_journal_of_many_events_at_one_time_takes_time_in_proportion() -> None:
    events = [*EVENTS[:-1], {"event": "tree", "at": EVENTS[-2]["at"], "git": None}]
    manifest = edited(lambda it: it.update(status="failed", updated_at=events[-1]["at"], summary="forged"))

    def judge(count: int) -> None:
        assert difference(manifest, lines([*events, *[events[-1]] * count])) is not None

    assert growth(judge, 100, 4) < 1.2


# The gate


def cite(repo: Repo, files: dict[str, bytes], *, tracked: bool = False) -> None:
    """A run on disk or in git, cited as evidence by a staged document."""
    for name, data in files.items():
        repo.write(f"{FOLDER}/{name}", data)
    for name in ("01-compile", "02-test"):
        repo.write(f"{FOLDER}/stages/{name}.log", "ok\n")
    if not tracked:
        repo.write(".git/info/exclude", ".runs/\n")
    repo.write("docs/notes.md", f"Evidence: `{PATH}`\n")
    repo.git("add", "--all")


def rules(*args: str) -> set[str]:
    """The errors, but for what the runs here are of, which no commit of the repository is."""
    found = checked("--staged", *args)["diagnostics"]
    return {one["rule"] for one in found if one["severity"] == "error"} - {"EVD012"}


TRUE = recorded(own())
FORGED = {**TRUE, "manifest.json": TRUE["manifest.json"].replace(b'"exit_code": 0', b'"exit_code": 3')}
ALONE = {"manifest.json": TRUE["manifest.json"]}


@pytest.mark.slow
@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize(("files", "expected"), [(TRUE, set()), (FORGED, {"MAN007"}), (ALONE, {"MAN007"})])
def test_the_gate_holds_a_cited_manifest_against_its_journal(
    repo: Repo, files: dict[str, bytes], expected: set[str], tracked: bool
) -> None:
    cite(repo, files, tracked=tracked)

    assert rules("manifests") - {"MAN003"} == expected


@pytest.mark.slow
@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize(("files", "expected"), [(TRUE, set()), (FORGED, {"EVD007"}), (ALONE, {"EVD007"})])
def test_the_evidence_check_alone_does_too(
    repo: Repo, files: dict[str, bytes], expected: set[str], tracked: bool
) -> None:
    cite(repo, files, tracked=tracked)

    assert rules("evidence") == expected


@pytest.mark.slow
def test_a_journal_on_disk_does_not_vouch_for_a_manifest_in_git(repo: Repo) -> None:
    cite(repo, TRUE, tracked=True)
    repo.git("rm", "--quiet", "--cached", f"{FOLDER}/events.jsonl")

    assert rules("manifests") == {"MAN007"}


def pin_all(repo: Repo, files: dict[str, bytes]) -> None:
    from hashlib import sha256

    pins = [Pinned(f"{FOLDER}/{name}", sha256(data).hexdigest(), len(data)) for name, data in files.items()]
    repo.stage(LOCK, render(pins))


@pytest.mark.slow
def test_a_journal_that_is_pinned_may_be_elsewhere(repo: Repo) -> None:
    cite(repo, ALONE)
    pin_all(repo, TRUE)

    assert rules("manifests") == set()


@pytest.mark.slow
def test_a_journal_that_is_not_pinned_may_not(repo: Repo) -> None:
    cite(repo, ALONE)
    pin_all(repo, ALONE)

    assert rules("manifests") == {"MAN007"}


@pytest.mark.slow
def test_a_journal_that_cannot_be_opened_proves_nothing(repo: Repo) -> None:
    cite(repo, ALONE)
    (repo.root / FOLDER / "events.jsonl").mkdir()

    assert rules("manifests") == {"MAN007"}


# Pins and tables


@pytest.mark.slow
@pytest.mark.parametrize(("files", "code"), [(TRUE, 0), (FORGED, 1), (ALONE, 1)])
def test_only_what_its_journal_bears_out_is_pinned(repo: Repo, files: dict[str, bytes], code: int) -> None:
    cite(repo, files)
    pin_all(repo, {"stages/01-compile.log": b"ok\n"})

    assert main(["evidence", "pin"]) == code
    assert (PATH in (repo.root / LOCK).read_text()) == (code == 0)


@pytest.mark.slow
def test_a_journal_that_a_link_brings_in_from_elsewhere_bears_nothing_out(repo: Repo, tmp_path: Path) -> None:
    cite(repo, TRUE)
    journal = repo.root / FOLDER / "events.jsonl"
    journal.rename(tmp_path / "elsewhere.jsonl")
    journal.symlink_to(tmp_path / "elsewhere.jsonl")

    assert main(["evidence", "pin"]) == 1


@pytest.mark.slow
def test_a_pin_covers_the_journal_and_the_logs(repo: Repo) -> None:
    cite(repo, TRUE)
    main(["evidence", "pin"])

    pinned = {json.loads(line)["path"] for line in (repo.root / LOCK).read_text().splitlines()[1:]}
    assert pinned == {f"{FOLDER}/{name}" for name in (*TRUE, "stages/01-compile.log", "stages/02-test.log")}


@pytest.mark.slow
def test_pruning_keeps_what_a_cited_manifest_is_derived_from(repo: Repo) -> None:
    cite(repo, TRUE)
    main(["evidence", "pin"])
    before = (repo.root / LOCK).read_bytes()

    assert (main(["evidence", "pin", "--prune"]), (repo.root / LOCK).read_bytes()) == (0, before)


@pytest.mark.slow
def test_a_log_too_large_to_pin_is_said_and_stays(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.write("orchgate.toml", "[evidence]\nmax-artifact-bytes = 100000\n")
    cite(repo, TRUE)
    repo.write(f"{FOLDER}/stages/02-test.log", "x" * 100_001)

    assert main(["evidence", "pin"]) == 0
    assert f"not pinned: {FOLDER}/stages/02-test.log is 100001 bytes long" in capsys.readouterr().out


@pytest.mark.slow
def test_an_edit_after_pinning_is_found_though_the_lock_was_edited_too(repo: Repo) -> None:
    cite(repo, FORGED)
    pin_all(repo, FORGED)
    repo.write("docs/notes.md", f"Evidence: `{PATH}` \n")
    repo.git("add", "--all")

    assert rules("evidence") >= {"EVD008"}


@pytest.mark.slow
def test_status_says_that_the_manifest_contradicts_the_journal(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    cite(repo, FORGED)

    assert main(["status"]) == 0
    assert f"{RUN}: manifest.json contradicts its journal: commands[0].exit_code says 3" in capsys.readouterr().out


@pytest.mark.slow
def test_no_table_is_made_of_an_edited_run(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    cite(repo, FORGED)

    assert main(["evidence", "summarize", "--task", TASK, "--before", RUN, "--after", RUN[:-1] + "0"]) != 0
    assert main(["baseline", "promote", RUN]) != 0
    assert "contradicts its journal" in capsys.readouterr().err


def test_a_journal_for_every_sample(repo: Repo) -> None:
    assert difference(json.loads(TRUE["manifest.json"]), journal_for(own())) is None


def test_what_differs_as_a_whole_is_counted(repo: Repo) -> None:
    problem = difference(edited(lambda it: it.update(usage=None)), lines(EVENTS))

    assert problem is not None
    assert (problem.path, problem.message) == (("usage",), "says null, its journal an object of 7")


def stripped(**changed: Any) -> dict[str, bytes]:
    """A manifest that was taken out of our format, beside the journal it contradicts."""
    document = {key: value for key, value in own(**changed).items() if key not in ("format", "git", "machine")}
    return {"manifest.json": json.dumps(document).encode(), "events.jsonl": TRUE["events.jsonl"]}


FOREIGN = {"manifest.json": json.dumps(january(), indent=2).encode(), "events.jsonl": TRUE["events.jsonl"]}


@pytest.mark.slow
@pytest.mark.parametrize("files", [stripped(), FOREIGN])
@pytest.mark.parametrize("tracked", [False, True])
def test_a_manifest_does_not_leave_its_journal_by_leaving_its_format(
    repo: Repo, files: dict[str, bytes], tracked: bool
) -> None:
    cite(repo, files, tracked=tracked)

    assert (rules("manifests") & {"MAN007", "MAN002"} != set(), rules("evidence")) == (True, {"EVD007"})


@pytest.mark.slow
@pytest.mark.parametrize("files", [stripped(), FOREIGN])
def test_nor_is_it_pinned(repo: Repo, files: dict[str, bytes]) -> None:
    cite(repo, files)

    assert main(["evidence", "pin"]) == 1


@pytest.mark.slow
def test_a_log_of_another_program_under_that_name_is_no_journal_of_ours(repo: Repo) -> None:
    cite(repo, {**FOREIGN, "events.jsonl": b'{"type":"exec:begin"}\n'})

    assert "MAN007" not in rules("manifests")
