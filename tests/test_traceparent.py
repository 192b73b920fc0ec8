"""Spans that stages are to join, and the trace that a run joins itself."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from orchgate.errors import OrchgateError
from orchgate.runner import environment
from orchgate.runs import ids, journal
from orchgate.speed import sampling
from tests.runs import TASK, Project, events, manifest

if TYPE_CHECKING:
    from tests.repo import Repo

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
AROUND = f"00-{TRACE}-{SPAN}-01"
SHOW = "env | grep ^TRACE || true"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (AROUND, "01"),
        (f"00-{TRACE}-{SPAN}-00", "00"),
        (f"cc-{TRACE}-{SPAN}-ff-more", "03"),
        (f"cc-{TRACE}-{SPAN}-01", "01"),
    ],
)
def test_a_span_of_this_version_or_a_later_one_is_read(text: str, flags: str) -> None:
    assert ids.span_context(text) == (TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        AROUND.upper(),
        AROUND + "\n",
        AROUND + "-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        "0" * 100_000,
    ],
)
def test_a_malformed_span_is_none(text: str) -> None:
    assert ids.span_context(text) is None


def test_spans_of_a_run_differ_and_follow_from_its_id() -> None:
    trace = ids.run_trace("2026-11-29T21-33-59-067Z-8c38f8c7")
    places = [(kind, stage, number) for kind in range(6) for stage in (0, 1, 2, 100_000) for number in (0, 1, 500_000)]
    spans = {trace.span_id(*place) for place in places}

    assert len(spans) == len(places)
    assert all(re.fullmatch("[0-9a-f]{16}", span) for span in spans)
    assert trace == ids.run_trace("2026-11-29T21-33-59-067Z-8c38f8c7")
    assert trace.trace_id != ids.run_trace("2026-11-29T21-33-59-067Z-8c38f8c8").trace_id


def test_what_is_measured_sees_no_span() -> None:
    seen = sampling.plain({"TRACEPARENT": AROUND, "TRACESTATE": "a=b", "PATH": "/bin"})

    assert not {"TRACEPARENT", "TRACESTATE"} & seen.keys()


def test_state_that_goes_with_another_trace_is_not_handed_on() -> None:
    own = ids.run_trace("2026-11-29T21-33-59-067Z-8c38f8c7")
    joined = ids.run_trace("2026-11-29T21-33-59-067Z-8c38f8c7", ids.span_context(AROUND))
    around = {"TRACEPARENT": AROUND, "TRACESTATE": "a=b"}

    assert environment.untraced(around, own) == {}
    assert environment.untraced(around, joined) == {"TRACESTATE": "a=b"}
    assert environment.untraced({"TRACESTATE": "a=b"}, own) == {}


@pytest.fixture
def project(repo: Repo) -> Project:
    made = Project(repo)
    made.define("inner", {"id": "within", "shell": SHOW})
    made.define(
        "demo",
        {"id": "again", "shell": f"{SHOW}; test -e once || {{ touch once; exit 1; }}", "retries": 1},
        {"id": "call", "pipeline": "inner"},
        **{"max-parallel": 1},
    )
    return made


def _handed(project: Project, log: str) -> list[str]:
    """What programs saw, of all runs, oldest run first."""
    logs = sorted(project.root.glob(f".runs/*/cli/*/stages/*-{log}.log"))
    return [line for path in logs for line in path.read_text().splitlines() if line.startswith("TRACE")]


def test_each_attempt_is_handed_its_own_span_of_one_trace(project: Project) -> None:
    assert project.run(env={"TRACEPARENT": "malformed", "TRACESTATE": "a=b"}).code == 0
    outer, inner = project.folders()
    trace = ids.run_trace(outer.name)

    assert _handed(project, "again") == [f"TRACEPARENT={trace.attempt(1, number).traceparent}" for number in (1, 2)]
    assert "traceparent" not in manifest(outer)
    caller = trace.attempt(2, 1)
    assert manifest(inner)["traceparent"] == caller.traceparent
    within = ids.run_trace(inner.name, caller).attempt(1, 1)
    assert within.trace_id == trace.trace_id
    assert _handed(project, "within") == [f"TRACEPARENT={within.traceparent}"]


def test_a_run_joins_the_trace_around_it_and_records_that(project: Project) -> None:
    unsampled = f"00-{TRACE}-{SPAN}-00"
    assert project.run("inner", env={"TRACEPARENT": unsampled, "TRACESTATE": "a=b"}).code == 0
    (folder,) = project.folders()

    assert manifest(folder)["traceparent"] == events(folder)[0]["traceparent"] == unsampled
    span = ids.run_trace(folder.name, ids.span_context(unsampled)).attempt(1, 1)
    assert sorted(_handed(project, "within")) == [f"TRACEPARENT={span.traceparent}", "TRACESTATE=a=b"]
    assert span.trace_id == TRACE
    assert span.flags == "00"
    assert journal.difference(manifest(folder), (folder / "events.jsonl").read_bytes()) is None


def test_a_measured_run_hands_out_no_span(project: Project) -> None:
    assert project.run("inner", "--measure", env={"TRACEPARENT": AROUND, "TRACESTATE": "a=b"}).code == 0

    assert _handed(project, "within") == []


@pytest.mark.slow
def test_a_resumed_run_stays_in_its_trace(project: Project) -> None:
    project.define("broken", {"id": "within", "shell": f"{SHOW}; test -e fixed"})
    assert project.run("broken", env={"TRACEPARENT": AROUND}).code == 1
    (folder,) = project.folders()
    (project.root / "fixed").write_text("")
    (project.root / ".git/info").mkdir(exist_ok=True)
    (project.root / ".git/info/exclude").write_text("/fixed\n")
    other = f"00-{'1' * 32}-{'2' * 16}-01"
    assert project.repo.orchgate("resume", folder.name, env={"TRACEPARENT": other, "TRACESTATE": "a=b"}).code == 0

    trace = ids.run_trace(folder.name, ids.span_context(AROUND))
    assert _handed(project, "within") == [f"TRACEPARENT={trace.attempt(1, number).traceparent}" for number in (1, 2)]


@pytest.mark.slow
def test_a_stage_is_answered_from_the_cache_whatever_the_trace_and_may_want_none(project: Project) -> None:
    project.define("kept", {"id": "within", "shell": SHOW, "inputs": ["orchgate.toml"]})
    project.define("none", {"id": "within", "shell": SHOW, "env": {"TRACEPARENT": ""}})
    project.define("named", {"id": "within", "shell": 'echo "$TRACEPARENT"', "inputs": ["orchgate.toml"]})

    for name in ("kept", "kept", "named", "named"):
        assert project.run(name, env={"TRACEPARENT": f"00-{TRACE}-{len(project.folders()) + 1:016x}-01"}).code == 0

    assert [manifest(folder)["commands"][0]["cached"] for folder in project.folders()] == [False, True, False, False]
    assert project.run("none").code == 0
    assert project.log("within") == b"TRACEPARENT=\n"


def test_a_journal_with_an_impossible_span_is_refused(project: Project) -> None:
    assert project.run("inner", env={"TRACEPARENT": AROUND}).code == 0
    lines = (project.folders()[0] / "events.jsonl").read_text().splitlines(keepends=True)
    forged = json.dumps({**json.loads(lines[0]), "traceparent": "00-x"}) + "\n"

    with pytest.raises(OrchgateError, match="impossible traceparent"):
        journal.parse("".join([forged, *lines[1:]]).encode())


@pytest.mark.slow
def test_agent_and_validator_are_handed_their_spans(project: Project) -> None:
    argv = ("rlm", "--task", TASK, "--goal", "g", "--agent", "sh -c 'env | grep ^TRACE'")
    ended = project.repo.orchgate(*argv, "--validator", "sh -c 'env | grep ^TRACE'", env={"TRACEPARENT": AROUND})
    assert ended.code == 0, ended.out
    (folder,) = project.folders()
    trace = ids.run_trace(folder.name, ids.span_context(AROUND))

    assert manifest(folder)["traceparent"] == AROUND
    for stage, name in enumerate(("iteration-1", "validator-1"), 1):
        assert _handed(project, name) == [f"TRACEPARENT={trace.attempt(stage, 1).traceparent}"]
