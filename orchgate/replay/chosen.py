"""Which of the cited runs are replayed: all, or a sample that the author of a change cannot choose.

What a sample is drawn by must not be known to the author before the change is fixed, nor be cheap to try again. The id
of a commit is neither: whoever amends a commit until the draw suits them needs seconds. So it is drawn by fresh random
bytes, or in CI by the number that the platform gives to a run of its pipeline, and the moment at which it did, since
some count up by one: nobody knows both before a push, a second try of the same job has the same ones, and others take
another push that everybody sees.
"""

from __future__ import annotations

import os

from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NEVER, CITED, SAMPLE = "never", "cited", "sample:"
# Numbers and moments that stay the same when a job is tried again.
_RUNS_OF_CI = (
    "GITHUB_RUN_ID",
    *("CI_PIPELINE_ID", "CI_PIPELINE_CREATED_AT"),  # GitLab
    "BUILDKITE_BUILD_ID",
    "BUILD_BUILDID",  # Azure Pipelines
    "BITBUCKET_PIPELINE_UUID",
    *("CI_PIPELINE_NUMBER", "CI_PIPELINE_CREATED"),  # Woodpecker
    *("DRONE_BUILD_NUMBER", "DRONE_BUILD_CREATED"),
    "CIRRUS_BUILD_ID",
)


def seed(environ: Mapping[str, str]) -> str:
    """What a sample is drawn by."""
    known = [f"{name}={environ[name]}" for name in _RUNS_OF_CI if environ.get(name)]
    return sha256_hex("\0".join(known))[:16] if known else os.urandom(8).hex()


def sample(manifests: Iterable[str], policy: str, drawn_by: str) -> list[str]:
    """The manifests that a policy has replayed, sorted. `drawn_by` is a seed."""
    every = sorted(set(manifests))
    if policy == NEVER:
        return []
    if not policy.startswith(SAMPLE):
        return every
    ranked = sorted(every, key=lambda path: sha256_hex(f"{drawn_by}\0{path}"))
    return sorted(ranked[: int(policy.removeprefix(SAMPLE))])
