"""Which job of a hosted CI something was made in: read from the environment, recorded, shown, and never believed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.exports.spans import run_facts
from orchgate.runs import hosted, state
from orchgate.runs.hosted import attested_by, job_of
from orchgate.runs.run import HostedJob, from_manifest
from orchgate.tools.counterparts import told_apart
from tests.journals import events_of
from tests.manifest_samples import own

if TYPE_CHECKING:
    from tests.repo import Repo

COMMIT = "c" * 40
ON_GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "example/project",
    "GITHUB_RUN_ID": "4711",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_SHA": COMMIT,
    "GITHUB_WORKFLOW_REF": "example/project/.github/workflows/gate.yml@refs/heads/main",
    "GITHUB_ACTOR": "ann",
}
ON_GITLAB = {
    "GITLAB_CI": "true",
    "CI_JOB_URL": "https://gitlab.example.org/group/project/-/jobs/12",
    "CI_PROJECT_PATH": "group/project",
    "CI_COMMIT_SHA": COMMIT,
    "GITLAB_USER_LOGIN": "ben",
}
ASK = "gh attestation verify --repo example/project --signer-workflow example/project/.github/workflows/gate.yml"


def test_a_job_of_github() -> None:
    job = job_of(ON_GITHUB)

    assert job == HostedJob(
        platform="GitHub Actions",
        address="https://github.com/example/project/actions/runs/4711/attempts/2",
        repository="example/project",
        commit=COMMIT,
        workflow="example/project/.github/workflows/gate.yml",
        started_by="ann",
    )
    assert attested_by(job) == ASK


def test_a_job_of_gitlab_for_which_no_attestation_can_be_asked() -> None:
    job = job_of(ON_GITLAB)

    assert job is not None
    assert (job.platform, job.address, job.started_by) == (hosted.GITLAB, ON_GITLAB["CI_JOB_URL"], "ben")
    assert attested_by(job) == ""


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"CI": "true"},
        {**ON_GITHUB, "GITHUB_ACTIONS": "1"},
        {**ON_GITHUB, "GITHUB_RUN_ID": "4711; rm -rf ."},
        {**ON_GITHUB, "GITHUB_REPOSITORY": "example/project --owner eve"},
        {**ON_GITHUB, "GITHUB_SERVER_URL": "https://token@github.com"},
        {**ON_GITHUB, "GITHUB_SERVER_URL": "javascript:alert(1)"},
        {**ON_GITLAB, "CI_JOB_URL": ""},
        {**ON_GITLAB, "CI_PROJECT_PATH": "-x"},
    ],
)
def test_what_no_platform_says_is_no_job(environ: dict[str, str]) -> None:
    assert job_of(environ) is None


@pytest.mark.parametrize("name", ["GITHUB_SHA", "GITHUB_WORKFLOW_REF", "GITHUB_ACTOR"])
def test_what_is_not_as_the_platform_writes_it_is_left_out(name: str) -> None:
    job = job_of({**ON_GITHUB, name: "$(id) \u202e"})

    assert job is not None
    assert None in (job.commit, job.workflow, job.started_by)


def test_the_page_says_which_job_wrote_it_and_how_to_ask_the_platform(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit(files={"a.md": "# A\n"})
    main(["report", "-o", "local.html"])
    for name, value in ON_GITHUB.items():
        monkeypatch.setenv(name, value)

    main(["report", "-o", "hosted.html"])

    page = (repo.root / "hosted.html").read_text()
    assert f"{ASK} PAGE" in page
    assert "https://github.com/example/project/actions/runs/4711/attempts/2" in page
    assert "By its environment, which is no proof" in page
    assert "attestation" not in (repo.root / "local.html").read_text()


JOB = {"platform": "GitHub Actions", "address": "https://github.com/example/project", "repository": "example/project"}


def test_a_run_says_of_which_job_it_is_unless_another_one_went_on_with_it() -> None:
    begun = next(events_of(own()))
    first = {**begun, "hosted": JOB}
    again = {"event": "resume", "at": begun["at"], "reason": "", "process": None, "git": None}

    assert state.manifest([first])["hosted"] == JOB
    assert "hosted" not in state.manifest([first, again])
    assert state.manifest([first, {**again, "hosted": JOB}])["hosted"] == JOB
    assert "hosted" not in state.manifest([begun])


def test_a_run_is_recorded_with_its_job(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit(files={"orchgate.toml": "[[pipelines.build.stages]]\nid = 'build'\nrun = ['true']\n"})
    for name, value in ON_GITHUB.items():
        monkeypatch.setenv(name, value)

    assert main(["run", "build", "--task", "0001-demo"]) == 0

    (path,) = (repo.root / ".runs").glob("*/cli/*/manifest.json")
    assert json.loads(path.read_text())["hosted"]["started_by"] == "ann"
    assert main(["check", "manifests", "--all-files"]) == 0


def test_a_difference_of_tools_names_whose_run_is_the_one_of_ci() -> None:
    def run(status: str, version: str, **more: object) -> dict[str, object]:
        tree = {"commit": COMMIT, "tree": "d" * 40, "dirty": False}
        tools = [{"name": "node", "version": version, "sha256": None, "source": "asked"}]
        return own(status=status, git=tree, tools=tools, **more)

    ours, theirs = from_manifest(run("succeeded", "20")), from_manifest(run("failed", "22", hosted=JOB))

    assert " in GitHub Actions failed on the same tree with other tools: node" in told_apart(ours, [theirs])
    assert " outside of GitHub Actions succeeded on the same tree" in told_apart(theirs, [ours])


def test_exports_say_of_which_job_a_run_is() -> None:
    assert run_facts(from_manifest(own(hosted=JOB)))["hosted.address"] == JOB["address"]
