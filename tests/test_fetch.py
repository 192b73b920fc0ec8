"""What `evidence fetch` writes over, and what it leaves alone; the same ways with real clones are in test_store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.evidence.lock import PATH, Pinned, render
from tests.repo import init
from tests.test_store import LOG, sha256

if TYPE_CHECKING:
    from pathlib import Path

    from tests.repo import Repo


@pytest.fixture
def pushed(repo: Repo, tmp_path: Path) -> Repo:
    """A repository whose pinned log the remote has."""
    repo.commit(files={".gitignore": ".runs/\n"})
    repo.git("remote", "add", "origin", str(init(tmp_path / "remote.git", "--bare").root))
    repo.write(LOG, b"built\n")
    repo.write(PATH, render([Pinned(LOG, sha256(b"built\n"), 6)]))
    assert main(["evidence", "push"]) == 0
    return repo


@pytest.mark.slow
@pytest.mark.parametrize(
    ("there", "options", "code", "left"),
    [
        (None, (), 0, b"built\n"),
        (b"built\n", (), 0, b"built\n"),
        (b"mine\n", (), 1, b"mine\n"),
        (b"mine\n", ("--force",), 0, b"built\n"),
        (b"built\nand more\n", (), 0, b"built\nand more\n"),
    ],
)
def test_what_differs_stays_unless_it_is_forced(
    pushed: Repo, there: bytes | None, options: tuple[str, ...], code: int, left: bytes
) -> None:
    (pushed.root / LOG).unlink()
    if there is not None:
        pushed.write(LOG, there)

    assert (main(["evidence", "fetch", *options]), (pushed.root / LOG).read_bytes()) == (code, left)


@pytest.mark.slow
def test_what_nobody_pushed_is_missing(pushed: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    other = LOG.replace("01-build", "02-test")
    pushed.write(PATH, render([Pinned(LOG, sha256(b"built\n"), 6), Pinned(other, sha256(b"x"), 1)]))

    assert (main(["evidence", "fetch"]), f"missing: {other}" in capsys.readouterr().out) == (3, True)


@pytest.mark.slow
def test_a_pin_whose_size_is_made_up_writes_nothing(pushed: Repo) -> None:
    (pushed.root / LOG).unlink()
    pushed.write(PATH, render([Pinned(LOG, sha256(b"built\n"), 5)]))

    assert (main(["evidence", "fetch"]), (pushed.root / LOG).exists()) == (3, False)


@pytest.mark.slow
def test_a_pin_of_the_folder_of_artifacts_itself_is_refused(pushed: Repo) -> None:
    pushed.write(PATH, render([Pinned("out", sha256(b"built\n"), 6)]))

    assert (main(["evidence", "fetch"]), (pushed.root / "out").exists()) == (3, False)
