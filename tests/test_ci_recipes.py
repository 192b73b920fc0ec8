"""Jobs to copy, line by line as GitHub and GitLab run them, and the pages that show them."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from tests import signing as keys
from tests.ci_steps import TOP, Runner, proposed, read, runner, step
from tests.repo import Repo, clone, init

if TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted(str(path.relative_to(TOP)) for path in TOP.glob("docs/ci/*.md"))
SHOWN = re.compile(r"(<!-- file: (\S+) -->\n```yaml\n)(.*?)(```\n<!-- /file -->)", re.DOTALL)
QUICK = '[performance]\npipeline = "quick"\n[[pipelines.quick.stages]]\nid = "work"\nrun = ["true"]\n'
IGNORED = {".gitignore": ".runs/\nout/\n"}
EXPIRED = "#!/bin/sh\nexit 1\n"
# `gh run list` names a run, `gh run download` copies what the run before kept; `gh auth` has nothing to do.
GH = '#!/bin/sh\ncase "$2" in\nlist) echo 7 ;;\ndownload) mkdir -p "$7" && cp -R "$KEPT/." "$7" ;;\nesac\n'
CURL = '#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\ncp "$KEPT" "$2"\n'


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_very_files_that_are_shipped(page: str) -> None:
    """ORCHGATE_UPDATE_DOCS=1 writes them."""
    text = (TOP / page).read_text()
    right = SHOWN.sub(lambda m: m[1] + (TOP / m[2]).read_text() + m[4], text)
    if os.environ.get("ORCHGATE_UPDATE_DOCS"):
        (TOP / page).write_text(right)

    assert text == right


def test_every_job_is_shown_on_a_page() -> None:
    shown = {found[2] for page in PAGES for found in SHOWN.finditer((TOP / page).read_text())}

    assert shown == {f"templates/{path.name}" for path in TOP.glob("templates/*-git*.yml")}


# Runs that are carried along


def lines(name: str, job: str) -> str:
    """The script of a job of GitLab: its lines run in one shell, which ends at the first that fails."""
    document = read(name)
    one = document[job]
    above = document.get(one.get("extends", ""), {})
    return "\n".join([*above.get("before_script", []), *one["script"]])


def variables(name: str, job: str) -> dict[str, str]:
    document = read(name)
    one = document[job]
    return {**document.get(one.get("extends", ""), {}).get("variables", {}), **one.get("variables", {})}


def recorded(on: Runner) -> int:
    return len((on.repo.root / ".runs/ci-performance/metrics.json").read_text().splitlines())


@pytest.fixture
def quick(repo: Repo) -> Repo:
    repo.commit("Start", {"orchgate.toml": QUICK, **IGNORED})
    return repo


def github_record(on: Runner) -> str:
    """The steps of GitHub's job that bring the record and go on with it."""
    document = read("templates/performance-job-github.yml")
    out = ""
    for name in ("Bring what the runs before recorded", "Add runs of this commit", "Show the trend"):
        ended = on.run(step(document, name), {"github.token": "secret"})
        assert ended.code == 0, ended.out
        out += ended.out
    return out


@pytest.mark.slow
def test_runs_on_github_go_on_from_the_artifact_of_the_run_before(quick: Repo, tmp_path: Path) -> None:
    env = {
        "PIPELINE": "quick",
        "GITHUB_WORKFLOW": "performance",
        "GITHUB_REF_NAME": "main",
        "KEPT": str(tmp_path / "k"),
    }
    first = runner(quick, tmp_path / "first", env, {"gh": EXPIRED})
    out = github_record(first)
    assert ("::notice title=performance::no record of earlier runs" in out, recorded(first)) == (True, 3), out
    (quick.root / ".runs/ci-performance").rename(tmp_path / "k")

    second = runner(quick, tmp_path / "second", env, {"gh": GH})
    assert ("goes on from run 7" in github_record(second), recorded(second)) == (True, 6)


@pytest.mark.slow
def test_runs_on_gitlab_go_on_from_the_artifact_of_the_run_before(quick: Repo, tmp_path: Path) -> None:
    name, job = "templates/performance-job-gitlab.yml", "performance-record"
    env = variables(name, job) | {"PIPELINE": "quick", "CI_JOB_TOKEN": "secret", "CI_JOB_NAME": job}
    env |= {"CI_API_V4_URL": "https://127.0.0.1", "CI_PROJECT_ID": "1", "CI_COMMIT_REF_NAME": "main"}
    first = runner(quick, tmp_path / "first", env, {"curl": EXPIRED})
    ended = first.bash(lines(name, job), {})
    assert (ended.code, "no record of earlier runs" in ended.out, recorded(first)) == (0, True, 3), ended.out
    packed = first.bash("python -m zipfile -c ../kept.zip .runs", {})
    assert packed.code == 0, packed.out

    second = runner(quick, tmp_path / "second", env, {"curl": CURL})
    ended = second.bash(lines(name, job), {"KEPT": str(tmp_path / "kept.zip")})
    assert (ended.code, "goes on from the record" in ended.out, recorded(second)) == (0, True, 6), ended.out


# Base and head in turn


@pytest.mark.slow
def test_a_proposed_change_that_is_slower_is_refused_on_both(tmp_path: Path) -> None:
    work = '[performance]\npipeline = "quick"\n[[pipelines.quick.stages]]\nid = "work"\nrun = ["sh", "work.sh"]\n'
    made = proposed(tmp_path / "source", {"orchgate.toml": work, "work.sh": "true\n"}, {"work.sh": "sleep 2\n"})
    checkout = made.checkout(tmp_path / "checkout", 0)
    checkout.git("checkout", "--quiet", made.head)
    on = runner(checkout, tmp_path / "temp", {})
    name = "templates/performance-job-gitlab.yml"
    env = variables(name, "performance") | {"CI_COMMIT_SHA": made.merge}
    env |= {"CI_MERGE_REQUEST_DIFF_BASE_SHA": made.base, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": made.head}
    there = on.run(
        step(read("templates/performance-job-github.yml"), "Run base and head in turn"),
        {"github.event.pull_request.base.sha": made.base},
    )
    here = on.bash(lines(name, "performance"), env)

    assert [(one.code, "fail: wall time" in one.out) for one in (there, here)] == [(1, True)] * 2, there.out + here.out


# Evidence in a clean clone


@pytest.fixture
def pinned(tmp_path: Path) -> Runner:
    """A clean clone of a repository whose document cites a run that is pinned and was pushed."""
    source = init(tmp_path / "source")
    source.commit("Start", {"orchgate.toml": QUICK, **IGNORED})
    init(tmp_path / "origin.git", "--bare")
    source.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    source.git("push", "--quiet", "origin", "main")
    assert source.orchgate("run", "quick", "--task", "0001-x").code == 0
    (run,) = (source.root / ".runs/0001-x/cli").iterdir()
    cited = f"# Notes\n\n- [x] It runs. Evidence: `.runs/0001-x/cli/{run.name}/manifest.json`\n"
    source.stage("docs/notes.md", cited)
    for argv in (("pin", "--all"), ("push",)):
        done = source.orchgate("evidence", *argv)
        assert done.code == 0, done.out
    source.git("add", ".orchgate")
    source.commit("Say so")
    source.git("push", "--quiet", "origin", "main")
    made = clone(Repo(tmp_path / "origin.git"), tmp_path / "clean")
    return runner(made, tmp_path / "temp", {}, {"gh": "#!/bin/sh\n"})


@pytest.mark.slow
def test_a_clean_clone_fetches_and_verifies_its_evidence_on_github(pinned: Runner) -> None:
    document = read("templates/evidence-job-github.yml")
    out = ""
    for name in ("Bring the pinned artifacts", "Compare them with the lock"):
        ended = pinned.run(step(document, name), {"github.token": "secret"})
        assert ended.code == 0, ended.out
        out += ended.out

    (run,) = (pinned.repo.root / ".runs/0001-x/cli").iterdir()
    assert json.loads((run / "manifest.json").read_text())["status"] == "succeeded"


@pytest.mark.slow
def test_a_clean_clone_fetches_verifies_and_judges_its_evidence_on_gitlab(pinned: Runner) -> None:
    name = "templates/evidence-job-gitlab.yml"
    ended = pinned.bash(lines(name, "evidence"), variables(name, "evidence"))

    assert ended.code == 0, ended.out


@pytest.mark.slow
def test_evidence_that_nobody_pushed_is_named_and_not_passed(pinned: Runner) -> None:
    pinned.repo.git("push", "--quiet", "origin", "--delete", "refs/orchgate/evidence")
    name = "templates/evidence-job-gitlab.yml"
    ended = pinned.bash(lines(name, "evidence"), variables(name, "evidence"))

    assert (ended.code, "manifest.json" in ended.out) == (3, True), ended.out


# Runs that CI signs


@pytest.fixture
def signing(repo: Repo, tmp_path: Path) -> Runner:
    """A machine with CI's key, and the branch that is to be run."""
    key = keys.make(tmp_path, "ci")
    (tmp_path / "origin").mkdir()
    policy = '[signatures]\nroles.ci = ["ci@*"]\nrequired = ["quick:ci"]\n'
    listed = {".orchgate/allowed_signers": key.signer("ci@example.org")}
    repo.commit("Start", {"orchgate.toml": QUICK + policy, **IGNORED, **listed})
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit("Work", {"a.py": "x = 1\n"})
    repo.git("remote", "add", "origin", str(repo.root))
    return runner(repo, tmp_path / "temp", {"ORCHGATE_SIGNING_KEY": str(key.path)})


def cited(on: Runner) -> str:
    """What the gate says of a claim by the run that was signed."""
    (run,) = (on.repo.root / ".runs/0001-x/cli").iterdir()
    on.repo.stage("docs/notes.md", f"# Notes\n\n- [x] It runs. Evidence: `.runs/0001-x/cli/{run.name}/manifest.json`\n")
    assert on.repo.orchgate("evidence", "pin", "--all").code == 0
    on.repo.git("add", ".orchgate")
    return on.repo.orchgate("check", "--staged", "evidence").out


@pytest.mark.slow
def test_a_run_that_github_signs_may_be_cited(signing: Runner) -> None:
    document = read("templates/signing-job-github.yml")
    key = (signing.temp.parent / "ci").read_text()
    known = {"inputs.pipeline": "quick", "inputs.task": "0001-x", "secrets.ORCHGATE_SIGNING_KEY": key}
    known["needs.run.outputs.commit"] = signing.repo.git("rev-parse", "HEAD").strip()
    for name in ("Run it", "Sign it"):
        ended = signing.run(step(document, name), known)
        assert ended.code == 0, ended.out

    assert "orchgate: passed" in cited(signing)
    assert not (signing.temp / "signing-key").exists()


@pytest.mark.slow
def test_a_run_that_gitlab_signs_may_be_cited(signing: Runner) -> None:
    name = "templates/signing-job-gitlab.yml"
    given = {"BRANCH": "topic", "TASK": "0001-x", "PIPELINE": "quick"}
    for job in ("run-to-sign", "sign-run"):
        ended = signing.bash(lines(name, job), {**variables(name, job), **given})
        assert ended.code == 0, ended.out

    assert "orchgate: passed" in cited(signing)


@pytest.mark.slow
def test_a_record_that_names_another_commit_is_not_signed(signing: Runner) -> None:
    document, name = read("templates/signing-job-github.yml"), "templates/signing-job-gitlab.yml"
    known = {"inputs.pipeline": "quick", "inputs.task": "0001-x", "secrets.ORCHGATE_SIGNING_KEY": "none"}
    assert signing.run(step(document, "Run it"), known).code == 0
    signing.repo.commit("More", {"a.py": "x = 2\n"})
    known["needs.run.outputs.commit"] = signing.repo.git("rev-parse", "HEAD").strip()

    on_github = signing.run(step(document, "Sign it"), known)
    given = {"BRANCH": "topic", "TASK": "0001-x", "PIPELINE": "quick"}
    on_gitlab = signing.bash(lines(name, "sign-run"), {**variables(name, "sign-run"), **given})

    assert on_github.code == on_gitlab.code == 1
    assert "which was checked out: not signed" in on_github.out
    assert "where the branch is: not signed" in on_gitlab.out
    assert not (signing.repo.root / ".orchgate/signatures").exists()


def test_no_code_of_the_branch_runs_where_the_key_is() -> None:
    jobs = read("templates/signing-job-github.yml")["jobs"]
    checkouts = {name: job["steps"][0].get("with", {}) for name, job in jobs.items()}

    assert ("ref" in checkouts["run"], "ref" in checkouts["sign"]) == (True, False)
    assert [name for name, job in jobs.items() if "secrets." in str(job)] == ["sign"]
    assert all("orchgate run" not in str(one.get("run", "")) for one in jobs["sign"]["steps"])
