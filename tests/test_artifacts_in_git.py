"""Files of runs belong on disk and into pins, not into git: who puts them there is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import checked

if TYPE_CHECKING:
    from tests.repo import Repo

LOG = ".runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47/stages/01-build.log"


def told(*args: str) -> list[tuple[str, str, str]]:
    return [(one["rule"], one["severity"], one["message"]) for one in checked("evidence", *args)["diagnostics"]]


def test_artifacts_that_get_tracked_are_noted_once_a_folder(repo: Repo) -> None:
    for path in (LOG, LOG.replace("01", "02"), "out/0001-demo/state.json"):
        repo.stage(path, "{}\n")

    assert told("--staged") == [
        ("EVD015", "note", f"{LOG} and 1 more: files of runs get tracked by git"),
        ("EVD015", "note", "out/0001-demo/state.json: files of runs get tracked by git"),
    ]


def test_artifacts_that_git_tracks_already_are_not_noted(repo: Repo) -> None:
    repo.commit(files={LOG: "one\n"})
    repo.stage(LOG, "two\n")

    assert told("--staged") == []


def test_a_note_does_not_stop_the_commit(repo: Repo) -> None:
    repo.stage(LOG)

    assert checked("--staged", "evidence")["verdict"] == "pass"
