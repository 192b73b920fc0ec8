"""What a scan judges and by what, and what it says of each: values that travel between processes and machines."""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMIT, REPOSITORY = "commit", "repository"
DETECT = "detect"  # the profile that suits a tree, by its files


class Judging(NamedTuple):
    """By what all units of a scan are judged.

    config     path and text of a configuration that judges every unit; ("", "") where each has its own
    profile    of units without a configuration
    judged_at  seconds since 1970 that repositories are judged at; a commit is judged as of the day it was made
    clones     the folder that clones are kept in; "" where they go away again
    scratch    the folder that these are made in
    patience   seconds that a clone may take
    """

    config: tuple[str, str] = ("", "")
    profile: str = "default"
    judged_at: float = 0.0
    clones: str = ""
    scratch: str = ""
    patience: float = 600.0


class UnitSpec(NamedTuple):
    """`source` is the git directory that a commit is in, or the address of a repository whose `ref` is judged.

    `refused` says why it is not even looked at.
    """

    unit: str
    kind: str
    source: str
    commit: str = ""
    ref: str = ""
    refused: str = ""


class UnitResult(NamedTuple):
    """What is said of a unit.

    rules          findings that count, by rule
    errors         those of them that refuse
    older          findings that were there before
    configuration  the file that judged it, or "profile NAME"; "" where it was not judged
    error          what could not be judged, and why; "" for nothing
    seconds        wall time
    """

    unit: str
    kind: str
    commit: str
    verdict: str
    rules: Mapping[str, int]
    errors: Mapping[str, int]
    older: int
    configuration: str
    error: str
    seconds: float


def failed(spec: UnitSpec, why: str, seconds: float = 0.0) -> UnitResult:
    """What is said of a unit that could not be judged."""
    return UnitResult(spec.unit, spec.kind, spec.commit, Verdict.BROKEN.value, {}, {}, 0, "", why, seconds)
