"""`orchgate report`: what the page says of a repository, in which words, and what is never in it."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cli import main
from orchgate.evidence import lock as locks
from orchgate.evidence.facts import facts_of
from orchgate.evidence.summary import render
from orchgate.lib import files
from orchgate.model import Verdict
from orchgate.report import collect, page, size, values
from orchgate.runs.run import from_manifest
from orchgate.speed import kept
from orchgate.speed.measurements import Measurement, Stopped
from orchgate.verdict import baseline
from orchgate.verdict.values import KNOWN, Compared, Judgement, Pair, Policy
from tests import published
from tests.journals import recorded
from tests.manifest_samples import own as own_manifest
from tests.metrics_lines import foreign, own
from tests.pages import HOSTILE, everything

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo

TASK = "0001-demo"
VOID = frozenset({"meta", "br", "hr"})
LEFT_OPEN = frozenset({"td", "th", "tr", "li"})
CONFIG = """\
[documents]
required = ["checklist"]
required-sections.checklist = []
"""


class Outline(HTMLParser):
    """What a page is made of: tags, ids, where links lead, headings, and whether every element ends."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID | LEFT_OPEN:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in LEFT_OPEN:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


@pytest.fixture
def project(repo: Repo) -> Repo:
    """A repository with a task and three runs of it: two that succeeded, and one that failed."""
    checklist = f"# Tasks - {TASK}\n\n- [x] Measured. Evidence: `orchgate.toml`\n- [ ] Rolled out\n"
    repo.commit("begin", {"orchgate.toml": CONFIG, ".gitignore": "/.runs/\n", f"tasks/tasks-{TASK}.md": checklist})
    lines = [own(1), own(2, wall_seconds=3.5), own(3, status="failed", wall_seconds=9.0)]
    folder = repo.root / ".runs" / TASK
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_bytes(b"\n".join(lines) + b"\n")
    return repo


def written(repo: Repo, *args: str, code: int = 0) -> str:
    """The page of a repository, in its own words."""
    assert main(["report", *args]) == code
    return (repo.root / "orchgate-report.html").read_text(encoding="utf-8")


def said(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["report", "--output-format", "json", *args]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    published.valid(found, "page")
    return found


@pytest.mark.slow
def test_the_page_says_the_verdict_the_task_and_its_runs(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    outline = Outline(written(project))

    assert capsys.readouterr().out.startswith("wrote orchgate-report.html: passed; 3 runs, 1 task; ")
    assert outline.open == []
    for words in ("Passed", "1 of 2 boxes ticked", "not ticked: Rolled out", "3 runs, 2 succeeded", "3.500 s"):
        assert words in outline.text
    assert [tag for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)][:3] == ["h1", "h2", "h2"]


@pytest.mark.slow
def test_a_point_leads_to_its_run(project: Repo) -> None:
    outline = Outline(written(project))

    ids = outline.values("id")
    assert len(ids) == len(set(ids))
    assert "#r00000002" in outline.values("href")
    assert {link[1:] for link in outline.values("href")} <= set(ids)  # also: no link leads anywhere else


@pytest.mark.slow
def test_what_programs_get_is_what_the_page_says(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys)

    assert (found["gate"]["verdict"], found["run_count"], found["tasks"][0]["task_id"]) == ("pass", 3, TASK)
    assert [point["value"] for point in found["tasks"][0]["pipelines"][0]["trends"][0]["points"]] == [2.5, 3.5, 9.0]
    assert not (project.root / "orchgate-report.html").exists()


@pytest.mark.slow
def test_a_refusal_is_shown_and_the_page_is_no_gate(project: Repo) -> None:
    project.stage(f"tasks/tasks-{TASK}.md", f"# Tasks - {TASK}\n\n- [x] Done. Evidence: [it](gone.md)\n")

    text = Outline(written(project)).text

    assert "Refused" in text
    assert "EVD001" in text


@pytest.mark.parametrize("name", [HOSTILE, "a\u202eb\x1b[31m", "x" * 5000, "caf\udce9", "'\"><b>&amp;"])
def test_names_stay_text(name: str) -> None:
    """Wherever a name comes from, a task, a stage, a path or a message: it is neither markup nor unreadable."""
    outline = Outline(page.render(everything(name)))

    assert outline.open == []
    assert {tag for tag, _ in outline.tags} & {"img", "script", "b>"} == set()
    assert not any(key.startswith("on") for _, attrs in outline.tags for key in attrs)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\ud800-\udfff]", outline.text)
    assert max(map(len, outline.text.split())) < 3000


@pytest.mark.slow
def test_no_place_of_this_machine_is_on_the_page(project: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project.root.parent))
    (project.root / ".orchgate").mkdir()
    (project.root / ".orchgate/baseline.json").mkdir()
    os.mkfifo(project.root / ".runs" / "pipe")

    assert str(project.root.parent) not in written(project, code=3)


def test_places_of_this_machine_are_made_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    root = f"{tmp_path}/repo"
    gate = values.GateState(
        "broken", why=f"cannot list {root}/.runs: or {root}, {tmp_path}/x, {root}-other, {tmp_path}"
    )

    cleaned = collect._without_this_machine(values.Page("", "", "", gate), root)

    assert cleaned.gate.why == "cannot list .runs: or ., ~/x, ~/repo-other, ~"


# What cannot be read


@pytest.mark.slow
def test_outside_of_git_the_runs_are_shown_and_nobody_could_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".runs" / TASK
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_bytes(foreign(1) + b"\n")

    found = said(capsys, code=3)

    assert (found["gate"]["verdict"], found["run_count"]) == ("broken", 1)
    assert "not a git repository" in found["gate"]["why"]


@pytest.mark.slow
def test_a_wrong_configuration_is_a_page_that_says_so(project: Repo) -> None:
    project.commit("wrong", {"orchgate.toml": "[documents]\nrequire = 1\n"})

    text = Outline(written(project, code=3)).text

    assert "Could not check" in text
    assert "orchgate.toml:2:" in text


@pytest.mark.slow
def test_an_empty_repository_has_a_page(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys)

    assert (found["gate"]["verdict"], found["run_count"], found["task_count"]) == ("pass", 0, 0)
    assert "Passed: nothing to check" in Outline(written(repo)).text


def test_what_cannot_be_read_leaves_the_rest_of_the_page(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    project.commit("damage", {locks.PATH: "oops\n", baseline.PATH: "oops\n"})

    found = said(capsys, code=3)

    assert (found["gate"]["verdict"], found["run_count"]) == ("broken", 3)
    assert {"baseline-unreadable", "lock-unreadable"} <= {one["code"] for one in found["problems"]}


@pytest.mark.slow
def test_damaged_lines_are_counted_and_the_others_shown(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    with (project.root / ".runs" / TASK / "metrics.json").open("ab") as file:
        file.write(b"{oops}\n" + own(4) + b'\n{"entry":1,"torn')

    found = said(capsys, code=3)

    assert found["run_count"] == 4
    assert [one["message"] for one in found["problems"]] == [
        f".runs/{TASK}/metrics.json: 1 line cannot be read as a run: 1 not JSON"
    ]


@pytest.mark.slow
def test_a_run_with_a_damaged_journal_is_a_row_that_says_so(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = own_manifest()
    folder = project.root / ".runs" / TASK / "cli" / manifest["run_id"]
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_bytes(b'{"event":"run"}\n')

    found = said(capsys, code=3)

    assert next(row["status"] for row in found["runs"] if row["run_id"] == manifest["run_id"]) == "unreadable"
    assert [one["code"] for one in found["problems"]] == ["run-unreadable"]


@pytest.mark.slow
def test_a_runs_folder_that_leads_out_is_not_read(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    os.rename(project.root / ".runs", project.root.parent / "elsewhere")
    os.symlink(project.root.parent / "elsewhere", project.root / ".runs")

    found = said(capsys, code=3)

    assert found["run_count"] == 0
    assert "leads out of the repository" in found["problems"][0]["message"]


@pytest.mark.slow
def test_a_runs_folder_that_is_none_is_said(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    os.rename(project.root / ".runs", project.root / "aside")
    os.symlink("nowhere", project.root / ".runs")

    assert said(capsys, code=3)["problems"][0]["message"] == ".runs is no directory: no run can be read from it"


@pytest.mark.slow
def test_the_stages_of_a_run_are_there_with_their_waiting(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = own_manifest(task_id=TASK)
    folder = project.root / ".runs" / TASK / "cli" / manifest["run_id"]
    folder.mkdir(parents=True)
    for name, data in recorded(manifest).items():
        (folder / name).write_bytes(data)

    found = said(capsys)

    (times,) = found["stage_times"]
    assert [stage["stage_id"] for stage in times["stages"]] == [stage["id"] for stage in manifest["commands"]]
    assert times["run_anchor"] in {row["anchor"] for row in found["runs"]}


@pytest.mark.slow
def test_the_table_of_a_document_is_worked_out_anew(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    paths, facts = [], {}
    for number in (1, 2):
        manifest = own_manifest(task_id=TASK, run_id=f"2026-01-06T09-26-22-129Z-{number:08x}")
        path = f".runs/{TASK}/cli/{manifest['run_id']}/manifest.json"
        (project.root / path).parent.mkdir(parents=True)
        for name, data in recorded(manifest).items():
            (project.root / path).with_name(name).write_bytes(data)
        paths.append(path)
        facts[path] = facts_of(from_manifest(manifest))
    block = render("diagnostics", paths[:1], paths[1:], facts.__getitem__)
    project.commit("claim", {f"tasks/tasks-{TASK}.md": f"# Tasks - {TASK}\n\n- [x] Measured\n\n{block}\n"})

    (found,) = said(capsys)["comparisons"]

    assert (found["source"], found["verdict"], found["before_count"], found["after_count"]) == ("document", None, 1, 1)
    assert found["rows"][0]["metric"] == "wall_seconds"


@pytest.mark.slow
def test_a_measurement_that_is_kept_is_judged_and_its_samples_are_there(
    project: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        json.dumps({"stream": "demo", "pair": pair, "arm": arm, "order": order, "metrics": {"cpu_seconds": seconds}})
        for pair in range(16)
        for order, (arm, seconds) in enumerate((("base", 0.4 + pair / 1000), ("head", 0.6 + pair / 1000)))
    ]
    folder = project.root / ".git/orchgate/perf"
    folder.mkdir(parents=True)
    (folder / "2026-01-06T09-26-22-129Z-c2f9cb47.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "2026-01-06T09-26-23-129Z-c2f9cb47.jsonl").write_text("{")

    found = said(capsys, code=3)

    (compared,) = found["comparisons"]
    assert (compared["verdict"], compared["before_count"], len(compared["samples"][0]["after"])) == ("fail", 16, 16)
    assert "2026-01-06T09-26-23-129Z-c2f9cb47.jsonl" in found["problems"][0]["message"]


@pytest.mark.slow
def test_a_measurement_is_shown_as_it_was_judged_then(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    """Three pairs are too few for the statistics; that head was far too slow was known from what the samples lack."""
    pairs = [Pair({"cpu_seconds": 0.09}, {"cpu_seconds": 0.2})] * 3
    lines = [
        json.dumps({"stream": "demo", "pair": pair, "arm": arm, "order": order, "metrics": {"cpu_seconds": seconds}})
        for pair in range(3)
        for order, (arm, seconds) in enumerate((("base", 0.09), ("head", 0.2)))
    ]
    why = "base took at most 97.9 ms, head at least 0.198 s"
    result = Compared("cpu_seconds", Verdict.FAIL, None, None, None, 3, None, None, 0.09, 0.2, why)
    judgement = Judgement(Verdict.FAIL, (result,), decided=True)
    measured = Measurement(tuple(pairs), (), judgement, (), (), Stopped.DECIDED, 1.0, 0.1, None, "1")
    name = "2026-01-06T09-26-22-129Z-c2f9cb47"
    samples = "\n".join(lines).encode() + b"\n"
    kept.keep(
        str(project.root / ".git"), name, samples, kept.encoded(measured, Policy({one.name: one for one in KNOWN}))
    )

    (compared,) = said(capsys)["comparisons"]
    assert (compared["verdict"], compared["reason"]) == ("fail", f"CPU time: {why}")
    assert (compared["rows"][0]["verdict"], compared["samples"][0]["verdict"]) == ("fail", "fail")

    (project.root / f".git/orchgate/perf/{name}.verdict.json").write_text("{}")
    assert "its verdict cannot be read" in said(capsys, code=3)["problems"][0]["message"]
    (project.root / f".git/orchgate/perf/{name}.verdict.json").unlink()
    assert "how it was judged then was not kept" in said(capsys)["comparisons"][0]["reason"]


@pytest.mark.slow
def test_the_page_says_what_the_commands_say_that_own_it(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    """`check`, `tasks`, `metrics`, `status`, `baseline show` and `evidence verify`, each by its JSON."""
    (project.root / "out" / TASK).mkdir(parents=True)
    (project.root / "out" / TASK / "a.txt").write_bytes(b"as pinned")
    pin = locks.Pinned(f"out/{TASK}/a.txt", files.sha256_hex(b"as pinned"), 9)
    record = baseline.BaselineRecord(
        "demo",
        "0123456789abcdef",
        "0" * 64,
        "a" * 40,
        "b" * 40,
        dirty=False,
        recorded_at="2026-01-01T00:00:00Z",
        recorded_by="Ada",
        reason="first",
        machine={"cores": 2},
        samples={"wall_seconds": (2.0, 2.5, 3.5) * 4},
        run_ids=tuple(f"2026-01-02T09-26-22-129Z-{n:08x}" for n in range(12)),
    )
    kept_baseline = baseline.render(baseline.Baseline().put(record)).decode()
    project.commit("record", {locks.PATH: locks.render([pin]), baseline.PATH: kept_baseline})

    page_ = said(capsys)
    owners = {
        words: _of(capsys, *words.split())
        for words in ("check --all-files", "tasks", f"metrics --task {TASK}", "baseline show", "evidence verify")
    }

    checks = {one["check"]: (one["verdict"], one["examined"]) for one in page_["gate"]["checks"]}
    assert page_["gate"]["verdict"] == owners["check --all-files"]["verdict"]
    assert checks == {one["id"]: (one["verdict"], one["examined"]) for one in owners["check --all-files"]["checks"]}
    (task,), (ours,) = page_["tasks"], owners["tasks"]["tasks"]
    assert (task["standing"], task["boxes"], task["ticked"], task["owed_count"]) == (
        ours["standing"],
        ours["boxes"],
        ours["ticked"],
        len(ours["owes"]),
    )
    assert [one["message"] for one in task["owes"]] == [one["message"] for one in ours["owes"]]
    (pipeline,) = task["pipelines"]
    (metrics,) = owners[f"metrics --task {TASK}"]["tasks"]
    (entry,) = metrics["pipelines"]
    assert (pipeline["run_count"], pipeline["succeeded"]) == (entry["run_count"], entry["statuses"]["succeeded"])
    wall = pipeline["trends"][0]
    assert wall["median"] == pytest.approx(entry["costs"]["wall_seconds"]["p50"], rel=0.01)
    (shown,) = owners["baseline show"]["records"]
    assert (wall["baseline"]["stale"], wall["baseline"]["middle"]) == (shown["stale"], shown["metrics"][0]["median"])
    verified = owners["evidence verify"]
    assert (page_["evidence"]["pin_count"], page_["evidence"]["counts"]) == (
        verified["pin_count"],
        {"verified": verified["ok_count"]},
    )


def _of(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    capsys.readouterr()
    main([*args, "--output-format", "json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.slow
def test_an_artifact_is_called_verified_only_where_it_was_compared(
    project: Repo, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / "out" / TASK).mkdir(parents=True)
    pins = []
    for name, content in (("a.txt", b"as pinned"), ("b.txt", b"no longer")):
        path = f"out/{TASK}/{name}"
        (project.root / path).write_bytes(content)
        pins.append(locks.Pinned(path, files.sha256_hex(b"as pinned"), 9))
    pins.append(locks.Pinned(f"out/{TASK}/gone.txt", "0" * 64, 9))
    project.commit("pin", {locks.PATH: locks.render(pins)})

    found = said(capsys)["evidence"]

    assert found["counts"] == {"changed": 1, "not here": 1, "verified": 1}
    assert {one["path"][-5:]: one["mark"] for one in found["artifacts"]}["a.txt"] == "verified"


@pytest.mark.slow
def test_a_page_of_thousands_of_everything_is_small_and_says_what_it_leaves_out() -> None:
    whole = everything("a-name-of-usual-length")
    (task,), (row,), (times,), (compared,) = whole.tasks, whole.runs, whole.stage_times, whole.comparisons
    trend = task.pipelines[0].trends[0]
    many = task._replace(
        pipelines=(task.pipelines[0]._replace(trends=(trend._replace(points=trend.points * 75),) * 9),)
    )
    runs = tuple(row._replace(run_id=f"{number:033}", anchor=f"run-{number}") for number in range(1, 501))
    samples = compared.samples[0]._replace(before=(1.0,) * 256, after=(2.0,) * 256)
    huge = whole._replace(
        tasks=tuple(many._replace(anchor=f"task-{number}") for number in range(60)),
        runs=runs,
        run_count=5000,
        trend_count=540,
        stage_times=tuple(times._replace(anchor=f"stages-{number}") for number in range(16)),
        timeline_count=500,
        comparisons=(compared._replace(samples=(samples,) * 3, before_count=256, after_count=256),) * 10,
    )

    data = size.fitted(huge)

    assert len(data) <= 300_000
    assert Outline(data.decode()).open == []
    assert "Runs: the newest " in data.decode()


@pytest.mark.slow
def test_each_of_500_runs_is_a_point_that_leads_to_its_row() -> None:
    """Of ten tasks with two pipelines each, and at least three metrics of each."""
    whole = everything("a-name-of-usual-length")
    (task,), (row,) = whole.tasks, whole.runs
    (pipeline,) = task.pipelines
    at = [f"2026-01-{number // 24 + 1:02}T{number % 24:02}:00:00.000Z" for number in range(500)]
    rows = tuple(
        row._replace(run_id=f"{number:033}", anchor=f"r{number:08}", started_at=at[number]) for number in range(500)
    )
    tasks = []
    for number in range(10):
        pipelines = []
        for part in (0, 25):
            of = rows[50 * number + part : 50 * number + part + 25]
            points = tuple(values.TrendPoint(one.anchor, one.started_at, "succeeded", 1.0) for one in of)
            trends = tuple(
                pipeline.trends[0]._replace(metric=metric, points=points, run_count=25)
                for metric in ("wall_seconds", "cpu_seconds", "max_rss_bytes", "written_bytes")
            )
            pipelines.append(pipeline._replace(trends=trends, unchanged={}))
        tasks.append(task._replace(anchor=f"task-{number}", pipelines=tuple(pipelines)))

    data = size.fitted(whole._replace(tasks=tuple(tasks), runs=rows, run_count=500, trend_count=80))

    links = re.findall('<a href="#(r[0-9]+)"><title>', data.decode())
    assert len(data) <= 300_000
    assert sorted(links) == [one.anchor for one in rows]
    assert data.count(b'class="chart trend') >= 60


@pytest.mark.slow
def test_manifests_of_many_runs_are_left_out_with_a_word(
    project: Repo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / ".runs" / TASK / "cli" / "2026-01-06T09-26-22-129Z-c2f9cb47").mkdir(parents=True)
    monkeypatch.setattr("orchgate.commands.report.MOST_RUNS", 0)

    checks = {one["check"]: one for one in said(capsys, code=3)["gate"]["checks"]}

    assert checks["manifests"]["verdict"] == "inconclusive"
    assert "orchgate check manifests --all-files" in checks["manifests"]["off"]


@pytest.mark.slow
def test_an_unknown_task_is_an_error_with_the_nearest(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--task", "0001-dema"]) == 2
    assert "did you mean 0001-demo?" in capsys.readouterr().err


@pytest.mark.slow
def test_a_task_alone_is_named_by_its_beginning(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    other = project.root / ".runs" / "0002-other"
    other.mkdir()
    (other / "metrics.json").write_bytes(own(7, task_id="0002-other") + b"\n")

    found = said(capsys, "--task", "0001")

    assert (found["only_task"], found["run_count"], [one["task_id"] for one in found["tasks"]]) == (TASK, 3, [TASK])


# Where it is written


@pytest.mark.slow
def test_what_is_no_page_of_ours_is_replaced_only_by_force(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    other = project.root / "index.html"
    other.write_text("<!doctype html><title>mine</title>")

    assert main(["report", "-o", "index.html"]) == 2
    assert "is no page of orchgate" in capsys.readouterr().err
    assert main(["report", "-o", "index.html", "--force"]) == 0
    assert main(["report", "-o", "index.html"]) == 0
    assert page.MARK in other.read_text()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("target.html", path)])
def test_what_is_no_file_is_not_replaced(project: Repo, make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    make(project.root / "page.html")
    before = os.lstat(project.root / "page.html")

    assert main(["report", "-o", "page.html"]) == 2
    assert os.lstat(project.root / "page.html").st_ino == before.st_ino


@pytest.mark.parametrize("name", ["", " ", ".", "/dev/null", "page.html/"])
def test_a_name_that_cannot_be_written_is_wrong_usage(project: Repo, name: str) -> None:
    assert main(["report", "-o", name]) == 2


@pytest.mark.slow
def test_a_folder_on_the_way_is_made(project: Repo) -> None:
    assert main(["report", "-o", "public/report/index.html"]) == 0
    assert (project.root / "public/report/index.html").is_file()


@pytest.mark.slow
def test_a_page_can_go_to_standard_output(project: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "-o", "-"]) == 0
    assert Outline(capsys.readouterr().out).open == []
