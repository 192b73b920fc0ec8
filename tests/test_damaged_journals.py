"""A journal that was cut, edited, forged, or written by a newer orchgate is one unreadable run, and no more."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchgate.agent import iterations
from orchgate.cli import main
from orchgate.errors import OrchgateError
from orchgate.hotspots.timing import read as timeline
from orchgate.runs import journal, state
from orchgate.runs.journal import difference
from tests.journals import events_of, recorded
from tests.manifest_samples import own
from tests.repo import init
from tests.runs import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.repo import Repo

pytestmark = pytest.mark.slow


class Samples(NamedTuple):
    """Journals of real runs: parallel, flaky, cached, called, failed and taken up again, an agent's, observed."""

    lines: tuple[tuple[bytes, ...], ...]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}.items():
            patch.setenv(name, value)
        for name in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{name}_NAME", "Ada")
            patch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
        repo = init(tmp_path_factory.mktemp("samples") / "repo")
        patch.chdir(repo.root)
        return Samples(tuple(tuple(lines) for lines in _recorded(Project(repo))))


def _recorded(project: Project) -> list[list[bytes]]:
    project.repo.commit(files={".gitignore": ".runs/\n", "in": "x\n"})
    project.define("inner", {"id": "one", "shell": "echo '3 passed in 0.1s'"})
    project.define(
        "demo",
        {"id": "kept", "run": ["true"], "inputs": ["in"]},
        {"id": "flaky", "shell": "test -e .runs/again || { touch .runs/again; exit 1; }", "retries": 1},
        {"id": "call", "pipeline": "inner", "needs": ["kept"]},
        {"id": "fails", "shell": "test -e .runs/go", "needs": ["flaky"]},
        {"id": "last", "run": ["true"], "needs": ["fails"]},
    )
    project.run()
    project.repo.write(".runs/go")
    project.repo.orchgate("resume", project.folders()[0].name)
    project.run()
    agent = shlex.join(["sh", "-c", "date +%N >> notes"])
    project.repo.orchgate("rlm", "--goal", "g", "--agent", agent, "--validator", "none", "--max-iterations", "2")
    project.repo.orchgate("observe", "--", "true")
    journals = sorted((project.root / ".runs").glob("*/cli/*/events.jsonl"))
    return [path.read_bytes().splitlines(keepends=True) for path in journals]


VALUES: list[object] = [
    *(None, True, False, 0, 1, -1, 2, 99, 2**63, 10**400, 1.5, 1e308, -0.0, float("nan"), float("inf")),
    *("", "x", "\ud800", "\0", "../../x", "/etc/passwd", "2026-02-30T00:00:00.000Z", "orchgate 99.0", "x" * 5000),
    *([], {}, [[]], [1], [None], {"": None}, {"id": 1}, {"a": {"b": []}}),
]
# Whole values of an event, of what an event holds, or of what that holds.
PATHS = st.lists(st.integers(0, 30), min_size=1, max_size=3)


def mutated(event: dict[str, Any], path: list[int], value: object, *, drop: bool) -> None:
    """Changes or drops one of the fields of an event, or of an object in it."""
    at: Any = event
    for step, number in enumerate(path):
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = keys[number % len(keys)]
        if step < len(path) - 1 and isinstance(at[key], dict | list) and at[key]:
            at = at[key]
        elif drop:
            del at[key]
            return
        else:
            at[key] = value
            return


def edits(draw: st.DrawFn, lines: list[bytes]) -> bytes:
    """A journal after a few edits: lines dropped, doubled, swapped, cut, or changed inside."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(lines) - 1)))
        what = draw(st.sampled_from(["field", "field", "field", "drop", "double", "swap", "cut", "bytes"]))
        if not lines:
            break
        if what == "field":
            try:
                event = json.loads(lines[at])
                mutated(event, draw(PATHS), draw(st.sampled_from(VALUES)), drop=draw(st.booleans()))
                lines[at] = json.dumps(event).encode() + b"\n"
            except (ValueError, TypeError, AttributeError):  # an earlier edit made it something else
                continue
        elif what == "drop":
            del lines[at]
        elif what == "double":
            lines.insert(draw(st.integers(0, len(lines))), lines[at])
        elif what == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif what == "cut":
            lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
        else:
            lines[at] = lines[at].replace(b'"', draw(st.binary(max_size=3)), 1)
    return b"".join(lines)


def understood(data: bytes, folder: Path) -> None:
    """Everything that anybody makes of a journal."""
    events = journal.parse(data).events
    document = state.manifest(events)
    difference(document, data)
    fold = state.Fold()
    for event in events:
        fold.add(event)
    iterations.Iterations(fold, events, validated=True).begun()
    if "agent_loop" in events[0]:
        iterations.plan_of(events)
    (folder / "events.jsonl").write_bytes(data)
    timeline(str(folder))


@given(data=st.data())
@settings(max_examples=int(os.environ.get("ORCHGATE_EXAMPLES", "300")))
def test_whatever_is_done_to_a_journal_it_is_read_or_refused(
    samples: Samples, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = list(data.draw(st.sampled_from(samples.lines)))
    edited = data.draw(st.composite(edits)(lines))
    folder = tmp_path_factory.getbasetemp() / "one-journal"
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(OrchgateError):
        understood(edited, folder)


def test_the_journals_of_all_kinds_are_read(samples: Samples, tmp_path: Path) -> None:
    for lines in samples.lines:
        understood(b"".join(lines), tmp_path)
    kinds = {json.loads(line)["event"] for lines in samples.lines for line in lines}
    assert kinds == {"run", "start", "end", "skip", "cached", "child", "resume", "stage", "tree", "finish"}


GOOD = "2026-01-01T00-00-00-000Z-00000001"
BAD = "2026-01-02T00-00-00-000Z-0000000b"


@pytest.fixture
def runs(repo: Repo) -> Path:
    """A repository with a good run, and one whose journal a test replaces; its task's folder of runs."""
    repo.commit(files={".gitignore": ".runs/\n"})
    folder = repo.root / ".runs" / "0001-build" / "cli"
    for name in (GOOD, BAD):
        repo.write(f".runs/0001-build/cli/{name}/x")
        for file, data in recorded(own(run_id=name)).items():
            (folder / name / file).write_bytes(data)
    return folder


def lines_of(events: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


EVENTS = [{**event, "run_id": BAD} if event["event"] == "run" else event for event in events_of(own())]
FIRST, SECOND, *REST = EVENTS


def with_data(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def as_link_to_another(path: Path) -> None:
    path.unlink()
    path.symlink_to(f"../{GOOD}/events.jsonl")


def without(event: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != key}


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (with_data(b""), "the journal is empty"),
    "only a torn line": (with_data(b'{"event":"run","at"'), "the journal is empty"),
    "bytes": (with_data(b"\x7fELF\0\xff" * 50 + b"\n"), "is not JSON"),
    "another tool's lines": (with_data(b'{"level":"info"}\n'), "is not an event"),
    "our beginning, another's line": (with_data(b'{"event":"login","at":"x"}\n'), "no point in time"),
    "a key that is not there": (
        with_data(lines_of([without(FIRST, "parent_run_id")])),
        "line 1 (run) lacks parent_run_id",
    ),
    "a value of another kind": (
        with_data(lines_of([{**FIRST, "stages": {}}])),
        "line 1 (run) has an impossible stages",
    ),
    "a stage that is not there": (with_data(lines_of([FIRST, {**SECOND, "stage": 99}])), "names stage 99"),
    "no stage's number": (with_data(lines_of([FIRST, {**SECOND, "stage": 0}])), "names stage 0"),
    "a huge number": (with_data(lines_of([FIRST, {**SECOND, "stage": 10**4000}])), "impossible stage"),
    "no number": (with_data(lines_of([FIRST, {**SECOND, "attempt": float("nan")}])), "is not JSON"),
    "half a character": (with_data(lines_of([{**FIRST, "task_id": "\ud800"}])), "impossible task_id"),
    "nested without end": (with_data(b'{"event":"run","at":' + b"[" * 100_000 + b"\n"), "is not JSON"),
    "no beginning": (with_data(lines_of([SECOND])), "the run never began"),
    "two beginnings": (with_data(lines_of([FIRST, FIRST])), "begins the run again"),
    "two ends": (with_data(lines_of([*EVENTS, REST[-1]])), "comes after the end of the run"),
    "a day that does not exist": (
        with_data(lines_of([{**FIRST, "at": "2026-13-01T00:00:00.000Z"}])),
        "no point in time",
    ),
    "an unknown event": (
        with_data(lines_of([FIRST, {**SECOND, "event": "paint"}])),
        "line 2 (paint) is of no known kind",
    ),
    "a newer version": (
        with_data(lines_of([{**FIRST, "journal": 2}])),
        "is of version 2, this orchgate reads 1; a newer orchgate wrote it",
    ),
    "a newer orchgate's event": (
        with_data(lines_of([{**FIRST, "runner": "orchgate 99.1.0"}, {**SECOND, "event": "paint"}])),
        "a newer orchgate wrote it (orchgate 99.1.0, this is",
    ),
    "a folder": (as_folder, "it is a directory"),
    "a named pipe": (as_pipe, "not a regular file"),
    "a link that leads nowhere": (as_link, "No such file"),
    "another run's journal": (as_link_to_another, f"is that of another run, {GOOD}"),
    "no journal": (Path.unlink, "No such file"),
}
damaged = pytest.mark.parametrize(("damage", "said"), DAMAGE.values(), ids=DAMAGE)


@damaged
def test_status_lists_it_beside_the_others(
    runs: Path, damage: Callable[[Path], object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(runs / BAD / "events.jsonl")
    code = main(["status", "--output-format", "json"])
    rows = {row["run_id"]: row for row in json.loads(capsys.readouterr().out)["runs"]}
    assert (code, rows[GOOD]["status"], rows[BAD]["status"]) == (0, "succeeded", "unreadable")
    assert said in rows[BAD]["problem"]


@damaged
def test_status_of_it_alone_could_not_be_told(
    runs: Path, damage: Callable[[Path], object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(runs / BAD / "events.jsonl")
    assert (main(["status", BAD]), said in capsys.readouterr().out) == (3, True)


@damaged
@pytest.mark.parametrize("verb", [("resume", BAD), ("rlm", "--resume", BAD)], ids=["resume", "rlm"])
def test_it_is_not_taken_up_again(
    runs: Path, damage: Callable[[Path], object], said: str, verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(runs / BAD / "events.jsonl")
    code = main([*verb])
    assert (code, said in capsys.readouterr().err) == (10 if verb[0] == "rlm" else 3, True)


VERBS: list[tuple[list[str], set[int]]] = [
    (["status", "--follow"], {0}),
    (["hotspots"], {0}),
    (["hotspots", BAD], {0, 3}),
    (["metrics", "--task", "0001-build"], {0, 3}),
    (["evidence", "pin", f".runs/0001-build/cli/{BAD}/manifest.json"], {0, 1, 2, 3}),
    (["evidence", "summarize", "--before", BAD, "--after", GOOD], {1, 2, 3}),
    (["baseline", "promote", "--task", "0001-build"], {2, 3}),
    (["baseline", "promote", BAD], {2, 3}),
    (["check", "--all-files"], {0, 1, 3}),
    (["check", "manifests", "--all-files"], {0, 1, 3}),
]


KINDS = (
    "bytes",
    "a key that is not there",
    "a stage that is not there",
    "a newer version",
    "a named pipe",
    "no journal",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("argv", "codes"), VERBS, ids=[" ".join(argv)[:30] for argv, _ in VERBS])
def test_no_verb_stumbles_over_it(runs: Path, kind: str, argv: list[str], codes: set[int]) -> None:
    DAMAGE[kind][0](runs / BAD / "events.jsonl")
    assert main(argv) in codes


@given(data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_nor_over_any_other(samples: Samples, runs: Path, data: st.DataObject) -> None:
    lines = list(data.draw(st.sampled_from(samples.lines)))
    name = json.loads(lines[0])["run_id"].encode()
    edited = data.draw(st.composite(edits)(lines)).replace(name, BAD.encode())
    (runs / BAD / "events.jsonl").write_bytes(edited)
    codes = [main(argv) for argv in (["status"], ["status", BAD], ["hotspots", BAD], ["check", "manifests"])]
    assert set(codes) <= {0, 1, 3}


@pytest.mark.parametrize("what", ["file", "link out", "unknown task"])
def test_what_stands_in_a_run_s_place_is_one_row_or_none(
    runs: Path, tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    if what == "file":
        (runs / BAD.replace("b", "c")).write_text("x")
    elif what == "link out":
        (runs / BAD.replace("b", "c")).symlink_to(tmp_path / "elsewhere")
    else:
        (runs.parent.parent / ".odd" / "cli" / BAD).mkdir(parents=True)
    assert (main(["status"]), GOOD in capsys.readouterr().out) == (0, True)
