"""Exports and the programs of others: spans of OpenTelemetry's own library join, and a viewer shows what is written."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import pkgutil
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.exports import otlp
from orchgate.exports.recorded import exports
from tests.runs import TASK, Project
from tests.test_exports import RUN, begun, ended, finished, many, started, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow

# What an instrumented program does with the span that it was handed.
SUITE = """\
import json, os
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
handed = {name.lower(): os.environ[name] for name in ("TRACEPARENT", "TRACESTATE") if name in os.environ}
around = TraceContextTextMapPropagator().extract(handed)
with TracerProvider().get_tracer("suite").start_as_current_span("a test", context=around) as span:
    found = span.get_span_context()
    seen = {"trace": found.trace_id, "parent": span.parent.span_id, "state": found.trace_state.to_header()}
    print(json.dumps(seen | {"sampled": found.trace_flags.sampled}))
"""


@pytest.fixture
def project(repo: Repo) -> Project:
    made = Project(repo)
    repo.commit("suite", {"suite.py": SUITE})
    made.define("demo", {"id": "suite", "run": [sys.executable, "suite.py"]})
    return made


def _spans(project: Project) -> list[dict[str, Any]]:
    ended = project.repo.orchgate("export", "latest", "--format", "otlp-json")
    assert ended.code == 0, ended.out
    found: list[dict[str, Any]] = json.loads(ended.out)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return found


def test_a_span_of_a_test_suite_stands_below_its_attempt(project: Project) -> None:
    assert project.run().code == 0
    seen = json.loads(project.log("suite"))
    attempt = next(one for one in _spans(project) if one["attributes"][0]["value"]["stringValue"] == "attempt")

    assert f"{seen['trace']:032x}" == attempt["traceId"]
    assert f"{seen['parent']:016x}" == attempt["spanId"]
    assert seen["state"] == ""
    assert seen["sampled"]


def test_a_run_stands_below_the_span_of_who_started_it(project: Project) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import format_span_id, format_trace_id
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    with TracerProvider().get_tracer("job").start_as_current_span("a job of CI") as span:
        TraceContextTextMapPropagator().inject(carrier)
        env = {"TRACEPARENT": carrier["traceparent"], "TRACESTATE": "vendor=1"}
        assert project.run(env=env).code == 0
    job = span.get_span_context()
    spans, seen = _spans(project), json.loads(project.log("suite"))

    assert {one["traceId"] for one in spans} == {format_trace_id(job.trace_id)} == {f"{seen['trace']:032x}"}
    assert spans[0]["parentSpanId"] == format_span_id(job.span_id)
    assert seen["state"] == "vendor=1"


def test_an_observed_program_and_its_runs_are_one_trace(project: Project) -> None:
    inner = shutil.which("orchgate", path=os.path.dirname(sys.executable))
    assert inner
    argv = ("observe", "--task", TASK, "--", inner, "run", "demo", "--task", TASK)
    assert project.repo.orchgate(*argv).code == 0
    outer, run = project.folders()
    ended = project.repo.orchgate("export", outer.name, "--format", "otlp-json")
    both = [one["scopeSpans"][0]["spans"] for one in json.loads(ended.out)["resourceSpans"]]

    assert [len(both), len({span["traceId"] for spans in both for span in spans})] == [2, 1]
    attempt = next(one for one in both[0] if one["attributes"][0]["value"]["stringValue"] == "attempt")
    assert both[1][0]["parentSpanId"] == attempt["spanId"]
    assert json.loads((run / "manifest.json").read_text())["traceparent"].split("-")[2] == attempt["spanId"]


def test_names_that_are_not_ours_are_those_of_opentelemetry(tmp_path: Path) -> None:
    from opentelemetry.semconv import attributes as stable
    from opentelemetry.semconv._incubating import attributes as young
    from opentelemetry.semconv._incubating.attributes import cicd_attributes

    known: set[str] = set()
    for package in (stable, young):
        for found in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            known |= {value for value in vars(module).values() if isinstance(value, str)}
    document = json.loads("".join(otlp.chunks(exports([str(many(tmp_path))]))))
    texts = [(key, value) for one in document["resourceSpans"] for key, value in _attributes(one)]

    assert {key for key, _ in texts if not key.startswith("orchgate.")} <= known
    results = {value["stringValue"] for key, value in texts if key.endswith((".result", ".run.result"))}
    assert results <= {one.value for one in cicd_attributes.CicdPipelineTaskRunResultValues}


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value.keys() == {"key", "value"}:
        yield value["key"], value["value"]
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _attributes(inner)


def test_ten_thousand_stages_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchgate.cli import main

    number = 10_000
    stages = [{"id": f"s{one}", "needs": [one - 1] if one > 1 else []} for one in range(1, number + 1)]
    events = [event for one in range(1, number + 1) for event in (started(one, one), ended(one + 0.5, one))]
    write(tmp_path, begun(RUN, *stages), *events, finished(number + 1))
    monkeypatch.chdir(tmp_path)

    for form in ("chrome-trace", "otlp-json", "junit"):
        assert main(["export", RUN, "--format", form, "-o", form]) == 0
    trace = json.loads((tmp_path / "chrome-trace").read_text())["traceEvents"]
    assert sum(one["ph"] == "X" and one["cat"].startswith("stage") for one in trace) == number
    assert len({one["tid"] for one in trace if one["ph"] == "X"}) < 100


# A viewer

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SPEEDSCOPE = "speedscope@1.25.0"


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The viewer, which is a package of npm that brings its own page; nothing of it is kept here."""
    folder = tmp_path_factory.mktemp("viewer")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, which has speedscope: apt-get install npm")
    packed = subprocess.run(
        [npm, "pack", "--silent", SPEEDSCOPE], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    archives = list(folder.glob("*.tgz"))
    if not archives:
        pytest.skip(f"npm cannot fetch {SPEEDSCOPE}: {packed.stderr.strip()[:200]}")
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package/dist/release/index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None or importlib.util.find_spec("playwright") is None:
        missing = "no Chromium, or playwright is not installed: apt-get install chromium; pip install playwright"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    from playwright.sync_api import sync_playwright

    drawn = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")  # without a graphics card
    options = ["--no-sandbox", "--disable-quic", "--disable-background-networking", *drawn]
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER, args=options)
        yield started
        started.close()


def test_speedscope_shows_every_thread_of_a_trace(
    viewer: Path, browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchgate.cli import main

    many(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["export", RUN, "--format", "chrome-trace", "-o", "trace.json"]) == 0
    content = base64.b64encode((tmp_path / "trace.json").read_bytes()).decode()
    (tmp_path / "trace.js").write_text(f'speedscope.loadFileFromBase64("trace.json", "{content}")')
    page = browser.new_page()
    noise: list[str] = []
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("request", lambda asked: noise.append(asked.url) if not asked.url.startswith("file:") else None)
    page.goto(f"{viewer.as_uri()}#localProfilePath={tmp_path / 'trace.js'}")
    page.wait_for_function("document.body.innerText.includes('(1/')")
    threads = []
    for number in range(1, int(page.evaluate("document.body.innerText.match(/\\(1\\/(\\d+)\\)/)[1]")) + 1):
        page.wait_for_function(f"document.body.innerText.includes('({number}/')")
        page.keyboard.press("3")  # as a table, which is text
        page.wait_for_function("document.body.innerText.includes('%)')")  # its rows
        threads.append(page.evaluate("document.body.innerText"))
        page.keyboard.press("1")
        page.wait_for_function("!document.body.innerText.includes('Symbol Name')")
        page.keyboard.press("n")
    page.close()

    shown = "\n".join(threads)
    assert noise == []
    assert sum(f"({RUN})" in one for one in threads) == len(threads) - 2  # the others are of the run it called
    for name in ("flaky, attempt 2", "waiting for needs", "waiting for a free slot", "away: until the run", "within"):
        assert name in shown
