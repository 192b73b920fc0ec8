"""Runs as files that other programs read: what is in them, and that a broken record is never a success."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import xml.etree.ElementTree as ET
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.cli import main
from orchgate.exports import timing
from orchgate.exports.recorded import RunExport, exports
from orchgate.exports.spans import SpanKind
from orchgate.result_files.benchmark_formats import read_bencher
from orchgate.runs import ids, journal, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PUBLIC = Path(__file__).parent / "data/public"
FORMATS = ("chrome-trace", "otlp-json", "junit", "ctrf", "bmf", "csv")
RUN, CHILD = "2026-11-29T10-00-00-000Z-0000000a", "2026-11-29T10-00-03-000Z-0000000b"
START = 1795946400.0  # seconds; what RUN's id says
HOSTILE = "=cmd|' /C calc'!A0 ]]> </testcase> \x1b[31m \x00\n\u202e \"quoted\""
AROUND = f"00-{'a' * 32}-{'b' * 16}-01"
Event = dict[str, Any]


def begun(run_id: str = RUN, *stages: Event, **more: Any) -> Event:
    """The first event of a run with two slots, whose stages have names and needs."""
    listed = [{"title": one["id"], "kind": "command", "command": "true", **one} for one in stages]
    known: Event = {"event": "run", "at": 0.0, "task_id": "0001-demo", "run_id": run_id, "parent_run_id": None}
    known |= {"pipeline": {"id": "demo", "title": "Demo", "digest": "d", "slots": 2}, "stages": listed}
    known |= {"runner": "orchgate 0.1.0", "process": None, "machine": None, "away_seconds": 0.0}
    known["git"] = {"commit": "c" * 40, "tree": "d" * 40, "dirty": False, "branch": "main"}
    return known | more


def started(at: float, stage: int, attempt: int = 1) -> Event:
    return {"event": "start", "at": at, "stage": stage, "attempt": attempt, "log_path": f"stages/{stage}.log"}


def ended(at: float, stage: int, attempt: int = 1, status: str = "succeeded", **more: Any) -> Event:
    usage: Event = {"wall_seconds": 0.5, "user_seconds": 0.25, "system_seconds": 0.125, "max_rss_bytes": 1000}
    usage |= {"read_bytes": 0, "written_bytes": 7, "processes": None, "complete": True}
    whole = {"event": "end", "at": at, "stage": stage, "attempt": attempt, "status": status}
    return whole | {"exit_code": 0 if status == "succeeded" else 1, "summary": "done", "usage": usage, **more}


def finished(at: float, status: str = "succeeded", detail: str | None = None) -> Event:
    return {"event": "finish", "at": at, "status": status, "detail": detail, "summary": "", "writes": None}


def stamped(events: Iterable[Event]) -> list[Event]:
    return [{**event, "at": ids.moment(START + event["at"])} for event in events]


def write(root: Path, *events: Event) -> Path:
    """A run as its recorder would have left it; moments are seconds since START."""
    whole = stamped(events)
    folder = root / ".runs/0001-demo/cli" / str(whole[0]["run_id"])
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_bytes(b"".join(journal.encode(event) + b"\n" for event in whole))
    (folder / "manifest.json").write_bytes(state.render(state.manifest(whole)))
    return folder


def many(root: Path) -> Path:
    """A run with everything: a retry, needs, a wait for a slot, a sub-pipeline, the cache, a kill, a skipped stage."""
    called = {"stage": 4, "run_id": CHILD, "pipeline_id": "inner", "manifest": f"../{CHILD}/manifest.json"}
    stages: list[Event] = [
        {"id": "one"},
        {"id": "flaky"},
        {"id": "slot"},
        {"id": "call", "needs": [1], "kind": "pipeline"},
    ]
    stages += [{"id": "kept"}, {"id": "may", "allow_failure": True}, {"id": "never", "needs": [2]}]
    folder = write(
        root,
        begun(RUN, *stages),
        started(0.1, 1),
        started(0.1, 2),
        ended(1.0, 2, status="failed", again=True, detail="exit 1"),
        started(1.5, 2, 2),
        ended(2.0, 1, tests={"passed": 3, "failed": 0, "skipped": 1, "errors": 0, "source": "junit"}),
        started(2.0, 3),
        ended(2.5, 2, 2, metrics={"rows": 12}),
        started(3.0, 4),
        {"event": "child", "at": 3.0, "status": "in_progress", **called},
        {
            "event": "resume",
            "at": 9.0,
            "reason": "the run was abandoned",
            "process": None,
            "git": None,
            "away_seconds": 0,
        },
        started(9.0, 3, 2),
        ended(9.5, 3, 2),
        {"event": "child", "at": 9.6, "status": "succeeded", **called},
        {"event": "cached", "at": 9.7, "stage": 5, "from": "earlier", "cache_key": "k"},
        started(9.7, 4, 2),
        ended(9.8, 4, 2),
        started(9.8, 6),
        ended(9.9, 6, status="failed", detail="exit 1"),
        {"event": "skip", "at": 9.9, "stages": [7], "status": "skipped", "detail": "needs flaky"},
        finished(10.0),
    )
    caller, inner = ids.run_trace(RUN).attempt(4, 1), {"id": "inner", "title": "Inner", "digest": "e", "slots": 2}
    write(
        root,
        begun(CHILD, {"id": "within"}, at=3.1, parent_run_id=RUN, traceparent=caller.traceparent, pipeline=inner),
        started(3.2, 1),
        ended(4.0, 1),
        finished(4.1),
    )
    return folder


def exported(capsys: pytest.CaptureFixture[str], form: str, *args: str, code: int = 0) -> str:
    assert main(["export", *args, "--format", form]) == code
    return capsys.readouterr().out


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[RunExport]:
    folder = many(tmp_path_factory.mktemp("many"))
    found = list(exports([str(folder)]))
    assert all(isinstance(one, RunExport) for one in found)
    return [one for one in found if isinstance(one, RunExport)]


def times(item: RunExport, kind: SpanKind) -> dict[str, tuple[float, float]]:
    zero = round(START * 10**9)
    return {one.name: ((one.start - zero) / 1e9, (one.end - zero) / 1e9) for one in item.spans if one.kind is kind}


# Spans


def test_spans_are_those_that_programs_were_handed(whole: list[RunExport]) -> None:
    outer, inner = whole
    trace = ids.run_trace(RUN)
    attempts = {one.span_id for one in outer.spans if one.kind is SpanKind.ATTEMPT}

    assert outer.trace.trace_id == inner.trace.trace_id == trace.trace_id
    assert attempts == {
        trace.attempt(*one).span_id for one in ((1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 2), (6, 1))
    }
    assert inner.spans[0].parent_id == trace.attempt(4, 1).span_id
    assert outer.spans[0].parent_id is None


def test_every_span_has_its_own_id_and_a_parent_that_is_there(whole: list[RunExport]) -> None:
    spans = [span for item in whole for span in item.spans]
    known = {span.span_id for span in spans}

    assert len(known) == len(spans)
    assert all(span.parent_id in known for span in spans[1:])
    assert all(link in known for span in spans for link in span.links)
    assert all(span.start <= span.end for span in spans)


def test_a_stage_that_the_cache_answered_says_from_which_run(whole: list[RunExport]) -> None:
    (kept,) = [one for one in whole[0].spans if one.facts.get("cached")]

    assert (kept.name, kept.end - kept.start, kept.facts["cached_from"]) == ("kept", 0, "earlier")


def test_what_a_stage_waited_for_is_told_apart(whole: list[RunExport]) -> None:
    waits = [(one.name, one.stage) for one in whole[0].spans if one.kind is SpanKind.WAIT]

    assert sorted(waits) == [(timing.FOR_SLOT, 3), (timing.FOR_SLOT, 4), (timing.FOR_NEEDS, 4), (timing.FOR_RETRY, 2)]
    assert times(whole[0], SpanKind.WAIT)[timing.FOR_RETRY] == (1.0, 1.5)
    assert times(whole[0], SpanKind.AWAY) == {"away: until the run was resumed": (3.0, 9.0)}
    assert times(whole[0], SpanKind.ATTEMPT)["slot, attempt 1"] == (2.0, 3.0)
    assert times(whole[0], SpanKind.STAGE)["slot"] == (2.0, 9.5)
    assert max(number for _, number in whole[0].running) == 2


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-29T10:00:00.123456789Z", 1795946400123456789),
        ("1969-12-31T23:59:59.5Z", -5 * 10**8),
    ],
)
def test_a_moment_is_exact_to_the_nanosecond(moment: str, expected: int) -> None:
    assert timing.nanoseconds(moment) == expected


def test_an_agent_loop_has_a_span_for_each_iteration(tmp_path: Path) -> None:
    loop = begun(RUN, agent_loop={"goal": "g", "agent": [], "validator": [], "max_iterations": 2, "max_minutes": None})
    events, at = [loop], 0.0
    for number in (1, 2):
        for offset, name in ((1, "iteration"), (2, "validator")):
            stage = 2 * number - 2 + offset
            named = {"id": f"{name}-{number}", "title": name, "kind": "agent", "allow_failure": True}
            events += [{"event": "stage", "at": at, "stage": named}, started(at, stage), ended(at + 1, stage)]
            at += 1
    (item,) = exports([str(write(tmp_path, *events, finished(at)))])
    assert isinstance(item, RunExport)

    assert times(item, SpanKind.ITERATION) == {"iteration 1": (0.0, 2.0), "iteration 2": (2.0, 4.0)}
    parents = {one.name: one.parent_id for one in item.spans if one.kind is SpanKind.STAGE}
    assert parents["validator-2"] == next(one.span_id for one in item.spans if one.name == "iteration 2")


# Formats


def test_a_chrome_trace_nests_on_every_thread(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many(root)
    events = json.loads(exported(capsys, "chrome-trace", RUN))["traceEvents"]
    slices = [one for one in events if one["ph"] == "X"]

    assert {one["pid"] for one in events} == {1, 2}
    for thread in {(one["pid"], one["tid"]) for one in slices}:
        stack: list[float] = []
        for one in (one for one in slices if (one["pid"], one["tid"]) == thread):
            while stack and stack[-1] <= one["ts"]:
                stack.pop()
            assert not stack or one["ts"] + one["dur"] <= stack[-1]
            stack.append(one["ts"] + one["dur"])
    flows = [(one["name"], one["id"], one["ph"]) for one in events if one["ph"] in "sf"]
    assert sorted(flows) == [("calls", 3, "f"), ("calls", 3, "s"), *(("needs", n, ph) for n in (1, 2) for ph in "fs")]
    args = next(one["args"] for one in slices if one["cat"] == "attempt,succeeded")
    assert {"user_seconds", "max_rss_bytes", "written_bytes", "exit_code"} <= args.keys()
    assert max(one["args"]["stages"] for one in events if one["ph"] == "C") == 2


def _as_protobuf_has_it(value: Any) -> Any:
    """OTLP writes ids in hexadecimal digits, where JSON of protobuf has base64."""
    if isinstance(value, list):
        return list(map(_as_protobuf_has_it, value))
    if not isinstance(value, dict):
        return value
    names = ("traceId", "spanId", "parentSpanId")
    return {
        key: base64.b64encode(bytes.fromhex(one)).decode() if key in names else _as_protobuf_has_it(one)
        for key, one in value.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("title", ["demo", HOSTILE])
def test_otlp_is_what_opentelemetry_reads(root: Path, capsys: pytest.CaptureFixture[str], title: str) -> None:
    from google.protobuf import json_format
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    many(root)
    write(
        root,
        begun("2026-11-29T11-00-00-000Z-0000000c", {"id": "t", "title": title}),
        started(0.1, 1),
        ended(1, 1),
        finished(1),
    )
    document = _as_protobuf_has_it(json.loads(exported(capsys, "otlp-json", "0001-demo")))
    request = json_format.ParseDict(document, ExportTraceServiceRequest())

    spans = [span for one in request.resource_spans for span in one.scope_spans[0].spans]
    assert {(len(span.trace_id), len(span.span_id)) for span in spans} == {(16, 8)}
    facts = {one.key: one.value for one in spans[0].attributes}
    assert facts["cicd.pipeline.name"].string_value == "demo"
    assert facts["cicd.pipeline.result"].string_value == "success"
    assert facts["vcs.ref.head.revision"].string_value == "c" * 40
    assert [event.name for event in spans[0].events] == ["resumed"]
    failed = next(span for span in spans if span.name == "flaky, attempt 1")
    assert (failed.status.code, failed.status.message) == (2, "exit 1")
    assert next(one.value.int_value for one in failed.attributes if one.key == "process.exit.code") == 1
    assert {one.attributes[0].value.string_value for one in spans} >= {"run", "stage", "attempt", "waiting", "away"}
    assert failed.end_time_unix_nano - failed.start_time_unix_nano == 900_000_000


@lru_cache(maxsize=1)
def _junit_schema() -> Any:
    import xmlschema

    return xmlschema.XMLSchema(str(PUBLIC / "junit-10.xsd"))


@lru_cache(maxsize=1)
def _ctrf_schema() -> Any:
    return jsonschema.Draft7Validator(json.loads((PUBLIC / "ctrf-0.0.json").read_text()))


def _valid_junit(text: str) -> ET.Element:
    _junit_schema().validate(text)
    return ET.fromstring(text)


def _valid_ctrf(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    _ctrf_schema().validate(document)
    counts, tests = document["results"]["summary"], document["results"]["tests"]
    assert (
        counts["tests"] == len(tests) == sum(counts[key] for key in ("passed", "failed", "skipped", "pending", "other"))
    )
    return document


@pytest.mark.slow
def test_junit_and_ctrf_have_a_test_for_each_stage(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many(root)
    suite = _valid_junit(exported(capsys, "junit", RUN))[0]
    results = _valid_ctrf(exported(capsys, "ctrf", RUN))["results"]

    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["7", "0", "0", "2"]
    assert {one.get("name"): one.get("value") for one in suite[0]}["one.passed"] == "3"
    by_name = {one["name"]: one for one in results["tests"]}
    assert {name: one["status"] for name, one in by_name.items()} == {
        **dict.fromkeys(("one", "flaky", "slot", "call", "kept", "within"), "passed"),
        **dict.fromkeys(("may", "never"), "skipped"),
    }
    assert by_name["flaky"]["flaky"]
    assert by_name["flaky"]["retries"] == 1
    assert [one["status"] for one in by_name["flaky"]["retryAttempts"]] == ["failed", "passed"]


@pytest.mark.slow
def test_names_of_failed_tests_stand_with_their_stage(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["tests/test_a.py::test_one[x]", HOSTILE]
    events = [started(0, 1), ended(1, 1, status="failed", failed_tests=names), finished(1, "failed", "stage:s:failed")]
    write(root, begun(RUN, {"id": "s"}), *events)
    failure = _valid_junit(exported(capsys, "junit", RUN))[0].find("testcase/failure")
    test = _valid_ctrf(exported(capsys, "ctrf", RUN))["results"]["tests"][0]

    assert failure is not None
    assert (failure.text or "").splitlines()[0] == names[0]
    assert test["extra"]["failed_tests"].startswith(names[0] + "\n")


def test_a_metric_file_is_one_that_we_read_ourselves(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many(root)
    text = exported(capsys, "bmf", RUN)

    assert read_bencher(text.encode()).seconds["demo/one"] == 0.5
    found = json.loads(text)
    assert found["demo/one"]["latency"] == {"value": 5e8}
    assert found["demo/one"]["cpu_seconds"] == {"value": 0.375}
    assert found["demo/flaky"] == {"rows": {"value": 12}}  # what two attempts took is no measure of one
    assert not {"demo/kept", "demo/may", "demo/never"} & found.keys()


def test_a_table_has_a_row_for_each_stage_and_no_formulas(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "|calc", "a,b", 'say "x"', "two\nlines", "plain"]
    stages = [{"id": f"s{number}", "title": name} for number, name in enumerate(names)]
    events = [event for number in range(1, len(names) + 1) for event in (started(0.1, number), ended(1, number))]
    write(root, begun(RUN, *stages), *events, finished(1))
    text = exported(capsys, "csv", RUN)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))

    assert text.count("\r\n") == len(names) + 1
    titles = [row["stage_title"] for row in rows]
    assert titles == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@SUM(A1)",
        "'\\t=1",
        "' =1",
        "'|calc",
        "a,b",
        'say "x"',
        "two\nlines",
        "plain",
    ]
    assert {row["wall_seconds"] for row in rows} == {"0.5"}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_hostile_text_leaves_a_file_that_can_be_read(root: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    folder = write(
        root,
        begun(RUN, {"id": "s", "title": "t"}),
        started(0.1, 1),
        ended(1, 1, status="failed"),
        finished(1, "failed", "x"),
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest.pop("format")  # as another program's, whose text nobody looked at
    manifest["pipeline_id"] = manifest["commands"][0]["title"] = manifest["commands"][0]["summary"] = HOSTILE
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "events.jsonl").unlink()
    text = exported(capsys, form, RUN)

    assert "\x1b" not in text
    assert "\x00" not in text
    if form == "junit":
        _valid_junit(text)
    elif form == "csv":
        assert all(not (cell or "").startswith("=") for row in csv.reader(io.StringIO(text)) for cell in row)
    else:
        json.loads(text)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, -3e9, 2e11])  # seconds: before 1970, and long after 2262
def test_an_odd_record_leaves_files_that_keep_their_schemas(
    root: Path, capsys: pytest.CaptureFixture[str], shift: float
) -> None:
    elsewhere = {"run_id": CHILD, "pipeline_id": "x", "manifest": "/etc/manifest.json", "status": "failed"}
    stages: list[Event] = [{"id": "", "needs": [7, 0]}, {"id": HOSTILE}]
    events = [begun(RUN, *stages), started(0, 1, 0), {"event": "child", "at": 0, "stage": 1, **elsewhere}]
    events += [ended(1, 1, 0, "failed", again=True, metrics={HOSTILE: 1e300}), started(1, 1, 2**40), ended(2, 1, 7)]
    events += [ended(2, 2, 3, "cancelled", usage=None), finished(2)]
    write(root, *({**event, "at": event["at"] + shift} for event in events))
    documents = {form: exported(capsys, form, RUN, code=1) for form in FORMATS}  # a run that it called is not there

    _valid_junit(documents["junit"])
    _valid_ctrf(documents["ctrf"])
    spans = json.loads(documents["otlp-json"])["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert all(0 <= int(one[key]) < 2**63 for one in spans for key in ("startTimeUnixNano", "endTimeUnixNano"))
    assert {len(one["spanId"]) for one in spans} == {16}
    assert "/etc" not in "".join(documents.values())


def test_nothing_that_is_no_number_is_written(tmp_path: Path) -> None:
    from orchgate.exports.text import is_number, json_of

    assert json_of({"a": [math.nan, math.inf, "\ud800"]}) == '{"a":[null,null,"\\\\ud800"]}'
    assert [is_number(one) for one in (1, 0.5, math.nan, -math.inf, True, 2**63, "1", None)] == [
        True,
        True,
        *[False] * 6,
    ]


# Records that are not in order


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _edited(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"exit_code": 0', '"exit_code": 7', 1))


def _damaged(folder: Path) -> None:
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join([lines[0], b"{]\n", *lines[2:]]))


def _cut(folder: Path) -> None:
    """Killed: the end was never written, and a line only by half."""
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)[:-1]
    (folder / "events.jsonl").write_bytes(b"".join(lines)[:-20])
    known = [json.loads(line) for line in lines[:1]]
    (folder / "manifest.json").write_bytes(state.render(state.manifest(known)))


def _garbled(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"\x00" * 10)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_without("events.jsonl"), "its journal cannot be used: it is not there, and alone a manifest proves nothing"),
        (_without("manifest.json"), "its manifest cannot be used"),
        (_garbled, "its manifest cannot be used"),
        (_edited, "its manifest contradicts its journal"),
        (_damaged, "its journal cannot be used: line 2 is not JSON"),
        (_cut, "the run has not ended"),
    ],
)
def test_a_broken_record_is_named_and_no_success(
    root: Path, capsys: pytest.CaptureFixture[str], harm: Callable[[Path], None], said: str
) -> None:
    harm(write(root, begun(RUN, {"id": "s"}), started(0.1, 1), ended(1, 1), finished(1)))
    documents = {}
    for form in FORMATS:
        assert main(["export", RUN, "--format", form]) == 1
        documents[form], err = capsys.readouterr()
        assert f"{RUN}: {said}" in err

    assert int(ET.fromstring(documents["junit"])[0].get("errors") or 0) > 0
    assert json.loads(documents["ctrf"])["results"]["summary"]["failed"] > 0
    spans = json.loads(documents["otlp-json"])["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert spans[0]["status"]["code"] == 2
    assert said in spans[0]["status"]["message"]
    assert said in json.loads(documents["chrome-trace"])["otherData"]["problems"]
    assert said in documents["csv"]
    assert json.loads(documents["bmf"]) == {}


@pytest.mark.slow
def test_a_run_that_failed_passes_nowhere(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, begun(RUN, {"id": "s"}), started(0.1, 1), ended(1, 1), finished(1, "cancelled", "signal:SIGINT"))
    suite = _valid_junit(exported(capsys, "junit", RUN))[0]

    assert suite.get("errors") == "1"
    assert _valid_ctrf(exported(capsys, "ctrf", RUN))["results"]["summary"]["failed"] == 1


@pytest.mark.slow
def test_a_task_whose_one_run_cannot_be_read_is_written_without_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many(root)
    lost = root / ".runs/0001-demo/cli/2026-11-29T12-00-00-000Z-0000000d"
    lost.mkdir()
    (lost / "manifest.json").write_text("[]")

    suites = _valid_junit(exported(capsys, "junit", "0001-demo", code=1))
    assert [one.get("name") for one in suites] == ["demo", "inner", "unreadable"]
    assert suites[2].get("errors") == "1"


@pytest.mark.parametrize("form", FORMATS)
def test_where_nothing_can_be_read_nothing_is_replaced(
    root: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    folder = write(root, begun(RUN, {"id": "s"}), finished(1))
    (folder / "events.jsonl").write_text("")
    _garbled(folder)
    (root / "out").write_text("kept")

    assert main(["export", RUN, "--format", form, "-o", "out"]) == 3
    assert (root / "out").read_text() == "kept"
    assert "no run can be read" in capsys.readouterr().err
    assert [path.name for path in root.iterdir() if path.name.startswith((".out", "out"))] == ["out"]


def test_a_clock_that_goes_back_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, begun(RUN, {"id": "s"}), started(5, 1), ended(2, 1), finished(3))

    assert main(["export", RUN, "--format", "otlp-json"]) == 1
    out, err = capsys.readouterr()
    assert "the clock went back by 3.0 s" in err
    assert "its record contradicts itself: commands[0].completed_at is before started_at" in err
    spans = json.loads(out)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert all(int(one["endTimeUnixNano"]) >= int(one["startTimeUnixNano"]) for one in spans)


def test_a_record_that_contradicts_itself_is_no_success(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, begun(RUN, {"id": "s"}), started(0.1, 1), ended(1, 1, exit_code=7), finished(1))

    assert main(["export", RUN, "--format", "ctrf"]) == 1
    out, err = capsys.readouterr()
    assert "its record contradicts itself: commands[0].exit_code is 7, although the stage is succeeded" in err
    assert json.loads(out)["results"]["summary"]["failed"] == 1


def test_a_run_of_another_program_says_what_is_missing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(root, begun(RUN, {"id": "s"}), started(0.1, 1), ended(1, 1), finished(1))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest.pop("format")
    manifest["commands"][0] |= {"command": "curl -H 'Authorization: Bearer ghp_0123456789abcdefghijABCDEFGHIJ012345'"}
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert main(["export", RUN, "--format", "csv"]) == 1  # beside it is a journal of ours
    (folder / "events.jsonl").unlink()
    assert main(["export", RUN, "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert "another program recorded it" in err
    assert "ghp_0123456789" not in out


def test_a_stage_whose_attempts_nobody_recorded_has_no_number_of_them(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = ({"id": "s"}, {"id": "skipped"})
    folder = write(root, begun(RUN, *stages), started(0.1, 1), ended(1, 1, status="failed"), finished(1, "failed", "x"))
    manifest = json.loads((folder / "manifest.json").read_text())
    for key in ("attempts", "flaky"):
        manifest["commands"][0].pop(key)
    manifest.pop("format")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "events.jsonl").unlink()

    rows = list(csv.DictReader(io.StringIO(exported(capsys, "csv", RUN))))
    assert (rows[0]["attempts"], rows[0]["flaky"]) == ("", "")
    assert rows[1]["attempts"] == "0"
    spans = json.loads(exported(capsys, "otlp-json", RUN))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert not [one for span in spans for one in span["attributes"] if one["key"].endswith("attempts")]


def test_a_run_joins_its_trace_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, begun(RUN, {"id": "s"}, traceparent=AROUND), started(0.1, 1), ended(1, 1), finished(1))
    spans = json.loads(exported(capsys, "otlp-json", RUN))["resourceSpans"][0]["scopeSpans"][0]["spans"]

    assert {one["traceId"] for one in spans} == {"a" * 32}
    assert spans[0]["parentSpanId"] == "b" * 16


def test_a_run_within_another_that_is_of_its_own_trace_is_linked(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = {"run_id": CHILD, "manifest": f"../{CHILD}/manifest.json", "linked_by": "process", "task_id": "0001-demo"}
    events = [started(0.1, 1), ended(5, 1, inner_runs=[inside | {"pipeline_id": "demo"}]), finished(5)]
    write(root, begun(RUN, {"id": "observed"}), *events)
    write(root, begun(CHILD, {"id": "s"}, at=3.1, observed_by=RUN), started(3.2, 1), ended(4, 1), finished(4))
    both = json.loads(exported(capsys, "otlp-json", RUN))["resourceSpans"]
    inner = both[1]["scopeSpans"][0]["spans"][0]

    assert inner["traceId"] == ids.run_trace(CHILD).trace_id
    assert "parentSpanId" not in inner
    around = ids.run_trace(RUN).attempt(1, 1)
    assert [(one["traceId"], one["spanId"]) for one in inner["links"]] == [around[:2]]


def test_the_latest_is_the_run_that_somebody_started(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many(root)
    rows = list(csv.DictReader(io.StringIO(exported(capsys, "csv", "latest"))))

    assert [row["run_id"] for row in rows] == [RUN] * 7 + [CHILD]


@pytest.mark.parametrize(
    ("args", "code"),
    [(("nope",), 2), (("latest", "-o", "."), 2), (("latest", "-o", "/dev/null"), 2), (("latest", "-o", ""), 2)],
)
def test_wrong_usage_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], code: int
) -> None:
    write(root, begun(RUN, {"id": "s"}), finished(1))

    assert main(["export", *args, "--format", "csv"]) == code
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["manifest.json", "events.jsonl", "stages/new.csv"])
def test_the_record_of_a_run_is_never_replaced(root: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    folder = write(root, begun(RUN, {"id": "s"}), finished(1))
    (root / "link").symlink_to(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*")}

    assert main(["export", RUN, "--format", "csv", "-o", f"link/{name}"]) == 2
    assert "is part of the record of a run" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*")} == before
    assert main(["export", RUN, "--format", "csv", "-o", f"link/artifacts/{RUN}.csv"]) == 1  # its stage never ran


def test_a_file_is_replaced_as_a_whole(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many(root)
    said = exported(capsys, "csv", RUN)
    (root / "out.csv").write_text("old")

    assert exported(capsys, "csv", RUN, "-o", "out.csv") == "wrote out.csv: 2 runs\n"
    assert (root / "out.csv").read_bytes() == said.encode()
