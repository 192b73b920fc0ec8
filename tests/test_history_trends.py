"""What the history answers, from recorded runs to the page: by the real program, clones and a remote."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.lib import files
from orchgate.runs.machine import fingerprint
from orchgate.verdict import baseline
from tests.histories import Clones, clones, record, told, write_lines
from tests.repo import ORCHGATE
from tests.trending import MACHINE, accepted, commits, noise, run_of, runs_of, step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo

pytestmark = pytest.mark.slow


@pytest.fixture
def made(new_repo: Callable[[str], Repo], tmp_path: Path) -> Clones:
    return clones(new_repo("seed"), tmp_path)


def test_a_clone_that_fetches_learns_between_which_commits_a_pipeline_became_slower(made: Clones) -> None:
    line = commits(made.one, 120)
    made.one.git("push", "--quiet", "origin", "main")
    runs = runs_of(line, step(80))
    write_lines(made.one, runs[::2])
    record(made.one, times=2)  # real ones, of this machine's own class
    told(made.one, "push")
    made.other.git("pull", "--quiet")
    write_lines(made.other, runs[1::2])
    told(made.other, "push")
    made.third.git("pull", "--quiet")
    told(made.third, "fetch")

    shown = told(made.third, "show")
    jsonschema.validate(shown, json.loads(files.read_data("schemas", "history.json")))
    (change,) = shown["changes"]

    assert (change["pipeline"], change["metric"]) == ("demo", "cpu_seconds")
    assert line.index(change["last_commit_before"]) < 80 <= line.index(change["first_commit_after"])
    between = line.index(change["first_commit_after"]) - line.index(change["last_commit_before"])
    assert (change["commit_count"], between <= 4) == (between, True)
    assert 0.17 < change["change_fraction"] < 0.23
    assert change["confidence_fraction"] > 0.99
    assert [one["stage"] for one in change["stages"]] == ["test"]
    text = made.third.orchgate("history", "show").out
    assert change["first_commit_after"][:7] in text
    assert change["last_commit_before"][:7] in text


# A push


PUSHED = """
[performance]
pipeline = "demo"
max-seconds = 5
[pipelines.demo]
[[pipelines.demo.stages]]
id = "build"
shell = "true"
"""


def machine() -> str:
    return str(fingerprint()["fingerprint"])


def pushed(repo: Repo, base: str) -> tuple[str, ...]:
    """The notes of a push of HEAD, as a hook says them; it is never refused for them."""
    line = f"refs/heads/main {repo.git('rev-parse', 'HEAD')} refs/heads/main {base}\n"
    ended = subprocess.run(
        [ORCHGATE, "hook", "pre-push", "origin", "url"],
        cwd=repo.root,
        input=line,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return tuple(one for one in ended.stdout.splitlines() if "PRF009" in one)


def pushing(repo: Repo, at: int, **fields: Any) -> tuple[str, list[str]]:
    """Commits of which the last ten are not pushed, and a run of each, slower from one on; what the remote has."""
    repo.commit("Measure pushes", {"orchgate.toml": PUSHED})
    line = commits(repo, 120)
    repo.git("push", "--quiet", "origin", f"{line[109]}:main")
    write_lines(repo, runs_of(line, step(at), machine=machine(), **fields))
    return line[109], line


def test_a_push_says_that_the_trend_of_what_it_pushes_has_a_change_behind_it(made: Clones) -> None:
    base, line = pushing(made.one, 112)

    (note,) = pushed(made.one, base)

    assert "demo: recorded CPU time +" in note
    assert "in this push" in note
    assert any(commit[:7] in note for commit in line[112:])


def test_a_push_says_it_from_fetched_runs_too(made: Clones) -> None:
    base, _ = pushing(made.one, 100)
    told(made.one, "push")
    told(made.one, "fetch")
    write_lines(made.one, [])

    (note,) = pushed(made.one, base)

    assert "before this push" in note


@pytest.mark.parametrize("at", [40, 200])
def test_a_push_says_nothing_of_what_is_long_past_or_never_was(made: Clones, at: int) -> None:
    base, _ = pushing(made.one, at)

    assert pushed(made.one, base) == ()


@pytest.mark.parametrize("back", [108, 115])
def test_a_push_says_nothing_of_what_was_reverted(made: Clones, back: int) -> None:
    """Also where too few runs show it for a change of its own."""
    base, line = pushing(made.one, 95)
    assert len(pushed(made.one, base)) == 1
    write_lines(made.one, runs_of(line, lambda nth: 0.36 if 95 <= nth < back else 0.3, machine=machine()))

    assert pushed(made.one, base) == ()


def test_a_push_says_nothing_of_what_became_faster_or_was_accepted(made: Clones) -> None:
    base, line = pushing(made.one, 100)
    write_lines(made.one, runs_of(line, step(100, by=-0.2), machine=machine()))
    assert pushed(made.one, base) == ()
    write_lines(made.one, runs_of(line, step(100), machine=machine()))
    assert len(pushed(made.one, base)) == 1
    samples = {"cpu_seconds": tuple(noise(5, 10))}
    made.one.write(baseline.PATH, baseline.render(accepted(line[108], machine(), samples)))

    assert pushed(made.one, base) == ()


def test_what_cannot_be_read_at_a_push_is_a_fact_and_refuses_nothing(made: Clones) -> None:
    base, _ = pushing(made.one, 112)
    made.one.write(".git/refs/orchgate/history", "0" * 39 + "1\n")

    assert pushed(made.one, base) == ()
    report = made.one.report("performance", "--from-ref", base, "--to-ref", "HEAD")
    (check,) = report["checks"]
    assert "not looked at" in json.dumps(check)


# The page


def test_a_page_shows_what_changed_and_marks_it_in_the_charts(made: Clones) -> None:
    line = commits(made.one, 120)
    began = datetime.now(UTC) - timedelta(days=10)
    levels = zip(line, noise(1, 120), strict=True)
    runs = [run_of(one, nth, step(80)(nth) * by, began + timedelta(hours=nth)) for nth, (one, by) in enumerate(levels)]
    write_lines(made.one, runs)

    said = json.loads(made.one.orchgate("report", "--output-format", "json").out)

    jsonschema.validate(said, json.loads(files.read_data("schemas", "page.json")))
    (change,) = said["history"]["changes"]
    assert line.index(change["last_commit_before"]) < 80 <= line.index(change["first_commit_after"])
    assert made.one.orchgate("report", "-o", "page.html").code == 0
    page = (made.one.root / "page.html").read_text()
    assert f"{change['first_commit_after'][:7]}" in page
    assert 'class="mark"' in page
    assert "<script" not in page


def test_a_damaged_history_is_told_on_the_page_and_the_rest_is_shown(made: Clones) -> None:
    made.one.write(".git/refs/orchgate/history", "0" * 39 + "1\n")

    ended = made.one.orchgate("report", "--output-format", "json")

    said = json.loads(ended.out[ended.out.index("{") :].rpartition("}")[0] + "}")
    assert (ended.code, said["history"]) == (3, None)
    assert any(one["code"] == "history-unreadable" for one in said["problems"])


# A store


def test_a_folder_as_a_store_shows_the_same_changes_as_the_runs_themselves(made: Clones, tmp_path: Path) -> None:
    line = commits(made.one, 120)
    made.one.git("push", "--quiet", "origin", "main")
    write_lines(made.one, runs_of(line, step(80)))
    folder = tmp_path / "store"
    folder.mkdir()
    where = str(folder)
    told(made.one, "push", "--to", where)
    own = told(made.one, "show")
    made.third.git("pull", "--quiet")

    from_store = told(made.third, "show", "--from", where)

    assert len(own["changes"]) == 1
    assert from_store["changes"] == own["changes"]
    told(made.third, "fetch", "--from", where)
    assert told(made.third, "show")["changes"] == own["changes"]
    page = json.loads(made.third.orchgate("report", "--output-format", "json").out)
    assert page["history"]["changes"] == own["changes"]


def test_a_baseline_that_cannot_be_read_is_named_and_the_rest_is_shown(made: Clones) -> None:
    line = commits(made.one, 120)
    write_lines(made.one, runs_of(line, step(80)))
    made.one.write(baseline.PATH, "{")

    shown = told(made.one, "show")

    assert (len(shown["changes"]), shown["drifts"]) == (1, [])
    assert [note for note in shown["notes"] if baseline.PATH in note]


def test_drift_is_told_since_the_tag_of_the_baseline(made: Clones) -> None:
    line = commits(made.one, 120)
    made.one.git("tag", "v1.2", line[9])
    write_lines(made.one, runs_of(line, lambda nth: 0.3 * (1 + 0.15 * nth / 120), spread=0.004))
    samples = {"cpu_seconds": tuple(0.304 * factor for factor in noise(5, 12, 0.004))}
    made.one.write(baseline.PATH, baseline.render(accepted(line[9], MACHINE, samples)))

    (drift,) = told(made.one, "show")["drifts"]

    assert (drift["baseline_name"], drift["commit_count"], drift["change_count"]) == ("v1.2", 110, 0)
    assert 0.08 < drift["low_fraction"] < drift["change_fraction"] < 0.15
    text = made.one.orchgate("history", "show").out
    assert "since v1.2, in 110 commits; no single one of them shows it" in text
