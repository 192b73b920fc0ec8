"""`orchgate scan --scheduler`: units judged by the workers of a cluster of real processes."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cluster import remote
from orchgate.git.repository import open_repository
from orchgate.git.store import parcel
from orchgate.scan import remote_units, values
from tests import cluster_units as units
from tests.repo import ORCHGATE, Repo
from tests.runs import until
from tests.test_scan import BUDGET, LARGE, scan, without_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[units.Processes]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with units.processes(folder) as started:
        yield started


@pytest.fixture
def history(repo: Repo) -> Repo:
    """A hundred commits and a merge, every seventh over the budget."""
    repo.commit("adopt", files={"orchgate.toml": BUDGET, "a.txt": "0\n"})
    for number in range(100):
        repo.commit(f"change {number}", files={f"src/{number}.txt": LARGE if number % 7 == 0 else "x\n"})
    repo.git("checkout", "--quiet", "-b", "side", "HEAD~9")
    repo.commit("side", files={"side.txt": LARGE})
    repo.git("checkout", "--quiet", "main")
    repo.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
    return repo


def kept(path: Path) -> list[dict[str, Any]]:
    return without_seconds([json.loads(line) for line in path.read_text().splitlines()])[1:]


@pytest.mark.slow
def test_four_workers_of_which_one_is_killed_and_one_has_no_git_say_the_same_lines(
    history: Repo, cluster: units.Processes, tmp_path: Path
) -> None:
    serial = scan(history, "HEAD", "--jobs", "1")
    lines = tmp_path / "lines.jsonl"
    for words in ((), (), ("--nthreads", "2")):
        cluster.worker(*words)
    without = cluster.worker(PATH=str(tmp_path))
    argv = [ORCHGATE, "scan", "HEAD", "--scheduler", cluster.address, "--output-format", "json", "-o", str(lines)]
    running = subprocess.Popen(argv, cwd=history.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: lines.exists() and lines.read_bytes().count(b"\n") > 2)
    cluster.process_of(0).kill()
    out, said = running.communicate()

    assert running.returncode == 1, said
    assert without_seconds([json.loads(line) for line in out.splitlines()]) == without_seconds(serial) == kept(lines)
    assert f"worker {without} left out: no git" in said


@pytest.mark.slow
def test_a_worker_that_does_not_see_the_repository_judges_what_it_was_sent(history: Repo, tmp_path: Path) -> None:
    """Also where what is sent is cut off, lacks an object, or was unpacked before by a process that died."""
    cut = Repo(tmp_path / "cut")
    history.git("clone", "--quiet", "--template=", "--depth=4", f"file://{history.root}", str(cut.root))
    head, folder = cut.git("rev-parse", "HEAD"), tmp_path / "job"
    folder.mkdir()
    with open_repository(str(cut.root), os.environ) as repository:
        sent = parcel.history(repository, head)
    (folder / remote.PARCEL).write_bytes(sent.pack)
    specs = tuple(values.UnitSpec(one, "commit", "elsewhere", one) for one in cut.git("rev-list", "HEAD").split())
    asked = remote_units.ScanRequest(values.Judging(), sent=sent._replace(pack=b""))

    for _ in range(2):
        worker = remote_units.judging(asked, str(folder))
        next(worker)
        found = {one.unit: one for one in worker.send(specs) or ()}
        (folder / "ready").unlink()
        serial = {one["unit"]: one for one in scan(cut, "HEAD")[:-1]}
        assert {unit: (one.verdict, one.error or None) for unit, one in found.items()} == {
            unit: (one["verdict"], one["error"]) for unit, one in serial.items()
        }
        worker.close()


def test_a_worker_without_the_folder_is_left_out(tmp_path: Path) -> None:
    asked = remote_units.ScanRequest(values.Judging(), str(tmp_path / "gone"))

    with pytest.raises(remote.Unfit, match="it has no folder"):
        next(remote_units.judging(asked, ""))


@pytest.mark.slow
def test_a_scan_whose_scheduler_went_away_goes_on_elsewhere(
    history: Repo, cluster: units.Processes, tmp_path: Path
) -> None:
    lines = tmp_path / "lines.jsonl"
    cluster.worker()
    argv = [ORCHGATE, "scan", "HEAD", "--scheduler", cluster.address, "-o", str(lines)]
    running = subprocess.Popen(argv, cwd=history.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: lines.exists() and lines.read_bytes().count(b"\n") > 2)
    cluster.scheduler.kill()
    _, said = running.communicate()

    assert (running.returncode, "went away" in said) == (3, True), said
    scan(history, "HEAD", "--jobs", "2", "-o", str(lines), code=1)
    assert kept(lines) == without_seconds(scan(history, "HEAD"))


@pytest.mark.slow
def test_repositories_are_judged_by_workers(
    repo: Repo, new_repo: Callable[[str], Repo], cluster: units.Processes, tmp_path: Path
) -> None:
    for name in ("one", "two", "three"):
        new_repo(name).commit(files={"orchgate.toml": "broken" if name == "two" else ""})
    (tmp_path / "list.txt").write_text("one\ntwo\nthree\next::x\n")
    cluster.worker()
    cluster.worker()

    serial = scan(repo, "--repositories", "../list.txt")
    elsewhere = scan(repo, "--repositories", "../list.txt", "--scheduler", cluster.address)

    assert without_seconds(elsewhere) == without_seconds(serial)
    assert [one["verdict"] for one in serial[:-1]] == ["pass", "broken", "pass", "broken"]


@pytest.mark.parametrize("argv", [("--jobs", "2"), ("--clones", "x")])
def test_what_is_about_this_machine_is_refused_with_a_scheduler(repo: Repo, argv: tuple[str, ...]) -> None:
    repo.commit()

    code, out = repo.orchgate("scan", "HEAD", "--scheduler", "tcp://127.0.0.1:9", *argv)

    assert (code, "about this machine" in out) == (2, True), out


def test_what_is_no_scheduler_is_refused(repo: Repo) -> None:
    repo.commit()

    assert repo.orchgate("scan", "HEAD", "--scheduler", "here").code == 2
    assert not os.path.exists("lines.jsonl")
