"""`orchgate perf --scheduler`: the pairs of a comparison on the workers of a cluster of real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from orchgate.cluster import remote
from tests import cluster_units as units
from tests.published import closed
from tests.repo import ORCHGATE
from tests.runs import Project, living, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.repo import Repo

PYTHON = sys.executable
WORK = "import sys\nfor _ in range({rounds}):\n    sum(range(1000))\n"
FEW = ("--max-pairs", "4")  # where the verdict does not hang on the statistics


@pytest.fixture
def project(repo: Repo) -> Project:
    """A pipeline of one stage that computes, on branch `topic`, with nothing in it yet."""
    made = Project(repo)
    repo.commit(files={"work.py": WORK.format(rounds=10_000)})
    made.define("demo", {"id": "test", "run": [PYTHON, "-S", "work.py"]})
    repo.git("checkout", "--quiet", "-b", "topic")
    return made


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[units.Processes]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with units.processes(folder) as started:
        yield started


def started(project: Project, cluster: units.Processes, *args: str) -> subprocess.Popen[bytes]:
    words = (ORCHGATE, "perf", "--base", "main", "--scheduler", cluster.address, "--output-format", "json", "demo")
    return subprocess.Popen((*words, *args), cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(running: subprocess.Popen[bytes]) -> tuple[int, dict[str, Any], str]:
    """The exit code, the document once it fits its schema, and what was said besides."""
    out, err = running.communicate(timeout=600)
    assert out, err.decode()
    document: dict[str, Any] = json.loads(out)
    if "error" not in document:
        jsonschema.validate(document, closed("perf"))
    return running.returncode, document, err.decode()


def perf(project: Project, cluster: units.Processes, *args: str) -> tuple[int, dict[str, Any], str]:
    return ended(started(project, cluster, *args))


def trees(cluster: units.Processes, number: int) -> list[Path]:
    return list((cluster.folder / f"scratch-{number}").glob("dask-scratch-space/*/orchgate-*/trees"))


def children(cluster: units.Processes) -> list[int]:
    """Processes that workers of this cluster started for a comparison; other tests may run beside this one."""
    folders = (f"{cluster.folder}/scratch-{number}/dask-scratch-space" for number in range(4))
    return [process for folder in folders for process in living(folder)]


# The story


@pytest.mark.slow
@pytest.mark.flaky
def test_a_slowdown_is_found_by_pairs_on_four_workers_of_which_one_is_killed(
    project: Project, cluster: units.Processes
) -> None:
    project.repo.commit("the change", {"work.py": WORK.format(rounds=11_000)})
    gitless = cluster.worker(PATH="")
    addresses = [cluster.worker() for _ in range(4)]

    running = started(project, cluster, "--max-time", "10m")
    until(lambda: trees(cluster, 2))
    cluster.process_of(2).kill()
    code, document, said = ended(running)

    assert f"worker {gitless} left out: no git" in said
    assert f"worker {addresses[1]} left out: it went away" in said
    (cpu,) = (one for one in document["metrics"] if one["name"] == "cpu_seconds")
    assert (code, cpu["answer"]) == (1, "slower"), document
    assert 0.05 < cpu["estimate"] < 0.15
    where = document["ran_on"]
    assert where["worker_count"] >= 3
    assert where["machines"] == [{"pair_count": document["pair_count"]}]  # these four are of one machine
    assert sorted(where["left_out"]) == ["it went away", "no git"]
    assert any("lost with a worker" in note for note in document["notes"])
    assert where["machine_class"] == document["environment"]["machine"]["fingerprint"]


@pytest.mark.slow
def test_the_same_code_on_four_workers_is_not_refused_and_nothing_stays_there(
    project: Project, cluster: units.Processes
) -> None:
    project.repo.commit("no change", {"other": "x\n"})
    for _ in range(4):
        cluster.worker()

    code, document, said = perf(project, cluster, "--max-time", "5m", "--max-pairs", "12")

    assert (code, said) == (0, "")
    assert document["ran_on"]["worker_count"] == 4
    assert [path for number in range(4) for path in trees(cluster, number)] == []
    assert not children(cluster)
    samples = (project.root / document["samples_path"]).read_text()
    recorded = {json.loads(line)["ran_on"] for line in samples.splitlines()}
    assert recorded == {f"{document['ran_on']['machine_class']}/1"}
    for told in (samples, json.dumps(document)):
        assert "tcp://" not in told
        assert os.uname().nodename not in told


@pytest.mark.slow
def test_setup_runs_on_workers_and_only_the_two_trees_are_sent(project: Project, cluster: units.Processes) -> None:
    project.repo.git("checkout", "--quiet", "main")
    project.repo.commit(files={"secret.txt": "no longer there\n"})
    project.repo.git("rm", "--quiet", "secret.txt")
    seen = cluster.folder / "seen"
    look = f"git --git-dir=../../../repository rev-list --objects --all HEAD | wc -l >>{seen}; pwd >>{seen}"
    setup = json.dumps(["sh", "-c", look])
    config = project.root / "orchgate.toml"
    config.write_text(config.read_text() + f"[performance]\nsetup = {setup}\n")
    project.repo.git("add", "orchgate.toml")
    project.repo.commit("set up")
    project.repo.git("checkout", "--quiet", "-B", "topic")
    project.repo.commit("no change", {"other": "x\n"})
    cluster.worker()

    code, document, _ = perf(project, cluster, *FEW)

    assert document["pair_count"] == 4, document
    assert code in {0, 3}
    lines = seen.read_text().split()
    assert len(lines) == 4  # once for each tree
    assert "secret" not in "".join(path.name for path in cluster.folder.rglob("*"))


@pytest.mark.slow
def test_a_worker_that_comes_later_is_sent_what_is_measured_and_used(
    project: Project, cluster: units.Processes
) -> None:
    go = cluster.folder / "go"
    waits = f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.01)\ntime.sleep(0.5)\n"
    project.repo.commit("waits", {"work.py": waits + WORK.format(rounds=1000)})
    project.repo.git("branch", "--force", "main")
    project.repo.commit("no change", {"other": "x\n"})
    cluster.worker()

    running = started(project, cluster, "--max-time", "5m", "--max-pairs", "8")
    until(lambda: living("work.py"))
    cluster.worker()
    go.touch()
    code, document, said = ended(running)

    assert (document["ran_on"]["worker_count"], said) == (2, "")
    assert document["pair_count"] == 8
    assert code in {0, 3}


# What goes wrong


@pytest.mark.slow
def test_a_setup_that_fails_on_head_alone_is_refused(project: Project, cluster: units.Processes) -> None:
    project.repo.git("checkout", "--quiet", "main")
    config = project.root / "orchgate.toml"
    config.write_text(config.read_text() + '[performance]\nsetup = ["sh", "-c", "test ! -e broken"]\n')
    project.repo.git("add", "orchgate.toml")
    project.repo.commit("set up")
    project.repo.git("checkout", "--quiet", "-B", "topic")
    project.repo.commit("the change", {"broken": "x\n"})
    cluster.worker()

    code, document, _ = perf(project, cluster, *FEW)

    assert (code, document["stopped"]) == (1, "failed")
    assert document["reason"].startswith("performance.setup fails (exit 1) on head, passes on base")


@pytest.mark.slow
def test_a_scheduler_that_goes_away_leaves_the_pairs_until_then(project: Project, cluster: units.Processes) -> None:
    project.repo.commit("no change", {"other": "x\n"})
    cluster.worker()
    count = cluster.folder / "count"
    work = f"open({str(count)!r}, 'a').write('x')\n" + WORK.format(rounds=1000)
    project.repo.commit("count", {"work.py": work})
    project.repo.git("branch", "--force", "main")
    project.repo.commit("no change", {"other": "y\n"})

    running = started(project, cluster, "--max-time", "5m")
    until(lambda: count.exists() and len(count.read_text()) >= 8)
    cluster.scheduler.kill()
    code, document, _ = ended(running)

    assert code == 3
    assert document["stopped"] == "lost"
    assert document["reason"].startswith(f"the scheduler at {cluster.address} went away, after ")
    assert document["pair_count"] >= 1
    assert (project.root / document["samples_path"]).exists()
    assert project.repo.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_workers_that_would_disturb_a_measurement_are_left_out(project: Project, cluster: units.Processes) -> None:
    project.repo.commit("no change", {"other": "x\n"})
    busy, good = cluster.worker("--nthreads", "4"), cluster.worker()

    _, document, said = perf(project, cluster, *FEW)

    why = "runs 4 tasks at a time; start it with --nthreads 1 to measure there"
    assert said == f"orchgate: worker {busy} left out: {why}\n"
    assert document["ran_on"]["worker_count"] == 1
    assert good not in said


@pytest.mark.slow
def test_workers_of_another_machine_class_are_left_out(project: Project, cluster: units.Processes) -> None:
    other = cluster.folder / "other.py"
    other.write_text(
        "from orchgate.runs import machine\n"
        "made = {**machine.fingerprint(), 'fingerprint': '0123456789abcdef'}\n"
        "machine.fingerprint = lambda: made\n",
        encoding="ascii",
    )
    project.repo.commit("no change", {"other": "x\n"})
    odd = cluster.worker("--preload", str(other))
    for _ in range(2):
        cluster.worker()

    _, document, said = perf(project, cluster, *FEW)
    most = document["ran_on"]["machine_class"]
    _, chosen, _ = perf(project, cluster, *FEW, "--machine-class", "0123456789abcdef")
    code, none, _ = perf(project, cluster, *FEW, "--machine-class", "fedcba9876543210")

    assert said == f"orchgate: worker {odd} left out: machine class 0123456789abcdef, and {most} is that of most\n"
    assert chosen["ran_on"]["machine_class"] == "0123456789abcdef"
    assert (code, "no worker of" in none["error"]["message"]) == (3, True)


@pytest.mark.slow
def test_a_worker_on_which_base_fails_is_left_out_and_a_head_that_fails_is_refused(
    project: Project, cluster: units.Processes
) -> None:
    project.repo.commit(
        "needs a tool", {"work.py": "import os, sys\nsys.exit('no tool') if 'TOOLLESS' in os.environ else 0\n"}
    )
    project.repo.git("branch", "--force", "main")
    project.repo.commit("no change", {"other": "x\n"})
    toolless = cluster.worker(TOOLLESS="1")
    cluster.worker()

    _, document, said = perf(project, cluster, *FEW)

    assert document["pair_count"] == 4
    assert said == f"orchgate: worker {toolless} left out: stage test fails there on base (exit 1): no tool\n"

    project.repo.commit("broken", {"work.py": "raise SystemExit('broken')\n"})
    code, document, _ = perf(project, cluster, *FEW)

    assert (code, document["stopped"]) == (1, "failed")
    assert document["reason"] == "stage test fails (exit 1) on head, passes on base: broken"


@pytest.mark.slow
def test_a_head_that_kills_its_workers_is_not_passed(project: Project, cluster: units.Processes) -> None:
    """Were the pairs of dead workers left out, only those would count in which nothing happened."""
    kill = (
        "import os, signal\n"
        "for pid in open(f'/proc/{os.getppid()}/stat').read().split()[3:4]:\n"
        "    os.kill(int(pid), signal.SIGKILL)\n"
    )
    for _ in range(4):
        cluster.worker()
    project.repo.commit("kills", {"work.py": kill})

    code, document, said = perf(project, cluster, "--max-time", "60s")

    assert code == 3, document
    assert said.count("left out: it went away") == 3
    assert "pair 1 could not be run: given up after 3 tries" in document["reason"]


@pytest.mark.slow
def test_a_worker_that_head_spoils_for_base_is_counted_as_lost_and_cleared(
    project: Project, cluster: units.Processes, tmp_path: Path
) -> None:
    """Were it taken for a worker where something is missing, head could choose which pairs count."""
    runs, spoilt = tmp_path / "runs", tmp_path / "spoilt"
    spoil = (
        "import glob, os\n"
        f"with open({str(runs)!r}, 'a') as file: file.write('.')\n"
        f"if os.path.getsize({str(runs)!r}) >= 8 and not os.path.exists({str(spoilt)!r}):\n"
        f"    open({str(spoilt)!r}, 'x').close()\n"
        "    for path in glob.glob('../../../*/*/*/work.py'):\n"
        "        if not os.path.samefile(path, 'work.py'):\n"
        "            open(path, 'w').write('raise SystemExit(5)')\n"
    )
    project.repo.commit("spoils", {"work.py": spoil})
    for _ in range(2):
        cluster.worker()

    _, document, said = perf(project, cluster, "--max-pairs", "12")

    assert said.count("left out: stage test fails there on base (exit 5)") == 1
    assert "1 pair lost with a worker, and run again elsewhere" in document["notes"]
    assert not list(cluster.folder.glob("scratch-*/dask-scratch-space/*/orchgate-*"))


@pytest.mark.slow
def test_who_stops_it_leaves_nothing_running_on_workers(project: Project, cluster: units.Processes) -> None:
    import signal

    project.repo.commit("hangs", {"work.py": "import time\ntime.sleep(300)\n"})
    project.repo.git("branch", "--force", "main")
    project.repo.commit("no change", {"other": "x\n"})
    cluster.worker()

    running = started(project, cluster, "--max-time", "5m")
    until(lambda: living("work.py"))
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)

    until(lambda: not living("work.py") and not children(cluster))
    assert running.returncode not in {0, 1}
    assert trees(cluster, 0) == []


@pytest.mark.slow
def test_a_comparison_that_is_killed_leaves_nothing_on_workers(project: Project, cluster: units.Processes) -> None:
    project.repo.commit("hangs", {"work.py": "import time\ntime.sleep(300)\n"})
    project.repo.git("branch", "--force", "main")
    project.repo.commit("no change", {"other": "x\n"})
    for _ in range(2):  # of which one waits for its turn
        cluster.worker()

    running = started(project, cluster, "--max-time", "5m")
    until(lambda: living("work.py"))
    running.kill()
    running.communicate(timeout=60)

    until(lambda: not living("work.py"))
    until(lambda: not list(cluster.folder.glob("scratch-*/dask-scratch-space/*/orchgate-*")))


def test_a_worker_whose_disk_is_full_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / remote.PARCEL).symlink_to("/dev/full")
    monkeypatch.setitem(remote._FOLDERS, "job", str(tmp_path))

    assert remote._received("job", b"x" * 100_000, str(tmp_path)) == "cannot keep what is sent: No space left on device"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scheduler", "localhost:8786"), "is not the address of a scheduler"),
        (("--scheduler", "tcp://127.0.0.1:8786", "--exact"), "--exact counts instructions here"),
        (("--machine-class", "x"), "--machine-class chooses among workers"),
        (("--scheduler", "tcp://127.0.0.1:8786", "--replay", "x"), "--replay judges what was recorded"),
    ],
)
def test_what_does_not_go_together_is_refused(repo: Repo, words: tuple[str, ...], message: str) -> None:
    result = repo.orchgate("perf", *words)

    assert (result.code, message in result.out) == (2, True), result.out
