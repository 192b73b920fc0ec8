"""The job of a hosted CI that something was made in, as that job's environment says it.

Whoever starts a program sets its environment, so this is a claim and no proof. What proves it is what the platform
attests, which is looked up there, by somebody who asks: nothing here asks anybody.
"""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs.run import HostedJob

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

GITHUB, GITLAB = "GitHub Actions", "GitLab CI"
_NAME = r"[A-Za-z0-9_.-]{1,100}"
_ADDRESS = lazy(r"https?://[A-Za-z0-9.:-]{1,200}(?:/[A-Za-z0-9_./-]{0,400})?")  # no user name, no query
_REPOSITORY = lazy(rf"{_NAME}(?:/{_NAME}){{1,20}}")
_NUMBER = lazy(r"[0-9]{1,20}")
_COMMIT = lazy(r"[0-9a-f]{40}|[0-9a-f]{64}")
_WHO = lazy(r"[A-Za-z0-9_.\[\]-]{1,100}")
_WORKFLOW = lazy(rf"{_NAME}/{_NAME}/\.github/workflows/[A-Za-z0-9_.-]{{1,100}}\.ya?ml")


def job_of(environ: Mapping[str, str]) -> HostedJob | None:
    """The job that an environment says this is; None where it says none, or what cannot be looked up."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return _github(environ)
    if environ.get("GITLAB_CI") == "true":
        return _gitlab(environ)
    return None


def attested_by(job: HostedJob) -> str:
    """What begins the command that asks the platform for what it attests of a file; "" where it attests none.

    The file's name goes behind it. It answers only where the workflow asked for an attestation.
    """
    if job.platform != GITHUB:
        return ""
    signer = f" --signer-workflow {job.workflow}" if job.workflow else ""
    return f"gh attestation verify --repo {job.repository}{signer}"


def _github(environ: Mapping[str, str]) -> HostedJob | None:
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    number, attempt = environ.get("GITHUB_RUN_ID", ""), environ.get("GITHUB_RUN_ATTEMPT", "")
    known = _ADDRESS.fullmatch(server) and _REPOSITORY.fullmatch(repository) and _NUMBER.fullmatch(number)
    if not known:
        return None
    tried = f"/attempts/{attempt}" if _NUMBER.fullmatch(attempt) else ""
    workflow = environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0]
    return HostedJob(
        platform=GITHUB,
        address=f"{server.rstrip('/')}/{repository}/actions/runs/{number}{tried}",
        repository=repository,
        commit=_said(environ.get("GITHUB_SHA", ""), _COMMIT),
        workflow=_said(workflow, _WORKFLOW),
        started_by=_said(environ.get("GITHUB_TRIGGERING_ACTOR") or environ.get("GITHUB_ACTOR", ""), _WHO),
    )


def _gitlab(environ: Mapping[str, str]) -> HostedJob | None:
    address, repository = environ.get("CI_JOB_URL", ""), environ.get("CI_PROJECT_PATH", "")
    if not (_ADDRESS.fullmatch(address) and _REPOSITORY.fullmatch(repository)):
        return None
    return HostedJob(
        platform=GITLAB,
        address=address,
        repository=repository,
        commit=_said(environ.get("CI_COMMIT_SHA", ""), _COMMIT),
        started_by=_said(environ.get("GITLAB_USER_LOGIN", ""), _WHO),
    )


def _said(value: str, pattern: re.Pattern[str]) -> str | None:
    return value if pattern.fullmatch(value) else None
