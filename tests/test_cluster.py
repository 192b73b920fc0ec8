"""Somebody else's cluster: connecting, which workers can be used, and what happens where they die."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.cluster import connection, dispatch
from orchgate.cluster.connection import Requirements, SchedulerLost, connected
from orchgate.cluster.dispatch import run_units
from orchgate.errors import OrchgateError, UsageError
from tests import cluster_units as units
from tests.runs import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FACTS: dict[str, Any] = {
    "orchgate": "0.1.0",
    "code": "c",
    "python": "3.11.7",
    "distributed": "2026.8.0",
    "git": "2.39.5",
    "git_numbers": (2, 39),
    "class": "a",
    "host": "h",
}

# Without a cluster


@pytest.mark.parametrize(
    "address", ["", "localhost:8786", "http://host:8786", "inproc://1/2", "tcp://host", "tcp://:1", "tcp://host:port"]
)
def test_what_is_no_address_of_a_scheduler_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a scheduler"), connected(address):
        pass


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"orchgate": "9.9"}, "orchgate 9.9 there, 0.1.0 here"),
        ({"code": "d"}, "another build of orchgate 0.1.0 than here"),
        ({"python": "3.12.1"}, "Python 3.12.1 there, 3.11.7 here"),
        ({"distributed": "2026.7.0"}, "distributed 2026.7.0 there, 2026.8.0 here"),
        ({"git": ""}, "no git"),
        ({"git": "2.20.1", "git_numbers": (2, 20)}, "git 2.20.1, and 2.29 is needed"),
        ({"class": "b"}, "machine class b, and a is measured on"),
        ({"python": "3.11.9"}, ""),
    ],
)
def test_a_worker_that_cannot_be_used_says_why(changed: dict[str, Any], reason: str) -> None:
    assert Requirements(FACTS, machine="a").unmet({**FACTS, **changed}, 4) == reason


def test_where_something_is_measured_a_worker_does_one_thing_at_a_time() -> None:
    requires = Requirements(FACTS, alone=True)

    assert requires.unmet(FACTS, 4) == "runs 4 tasks at a time; start it with --nthreads 1 to measure there"
    assert requires.unmet(FACTS, 1) == ""


def test_only_one_module_imports_distributed() -> None:
    top = Path(connection.__file__).parent.parent
    importing = {
        path.relative_to(top).as_posix()
        for path in top.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(("import distributed", "from distributed", "import dask", "from dask"))
    }

    assert {path.partition("/")[0] for path in importing} == {"cluster"}


def test_a_scheduler_is_named_on_the_command_line_only() -> None:
    """Whoever names one can have programs run there, and a repository's configuration is anybody's."""
    top = Path(connection.__file__).parent.parent
    naming = [path for path in (top / "config").rglob("*.py") if "scheduler" in path.read_text(encoding="utf-8")]

    assert naming == []
    assert "DASK_SCHEDULER_ADDRESS" not in Path(connection.__file__).read_text(encoding="utf-8")


def test_without_the_extra_its_name_is_said() -> None:
    program = (
        "import sys; sys.modules['distributed'] = None\n"
        "from orchgate.cluster.connection import connected\n"
        "from orchgate.errors import UsageError\n"
        "try:\n"
        "    with connected('tcp://127.0.0.1:1'): pass\n"
        "except UsageError as error:\n"
        "    print(error.message, '|', error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == ("--scheduler needs distributed, which is not installed | pip install 'orchgate[dask]'\n")


# With one


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[units.Processes]:
    with units.processes(tmp_path) as started:
        yield started


@pytest.mark.slow
def test_a_scheduler_that_nobody_runs_is_named() -> None:
    with pytest.raises(OrchgateError) as found, connected("tcp://127.0.0.1:9", seconds=1.0):
        pass

    refused = "ConnectionRefusedError: [Errno 111] Connection refused"
    assert found.value.message == f"no scheduler could be reached at tcp://127.0.0.1:9 within 1 s: {refused}"


@pytest.mark.slow
@pytest.mark.parametrize("said", [b"", b"HTTP/1.0 400 Bad\r\n\r\n", b"\xff" * 64], ids=["nothing", "http", "noise"])
def test_what_answers_and_is_no_scheduler_is_named(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(connection, "GREET_SECONDS", 0.5)

    def greet(server: socket.socket) -> socket.socket:
        one = server.accept()[0]
        with contextlib.suppress(OSError):
            one.sendall(said)
        return one

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        held = pool.submit(greet, server)
        with pytest.raises(OrchgateError) as found, connected(address, seconds=1):
            pass
        held.result().close()

    assert found.value.message.endswith("what answers there is no scheduler, or does not get to it")


CONNECTS = """
import sys
from orchgate.cluster.connection import connected
from orchgate.cluster.dispatch import run_units
from orchgate.errors import OrchgateError
from tests.cluster_units import doubled
try:
    with connected(sys.argv[1]) as found:
        print([one.value for one in run_units(found, doubled, range(3))])
except OrchgateError as error:
    print(error.message)
"""


@pytest.mark.slow
def test_a_scheduler_needs_no_orchgate(tmp_path: Path) -> None:
    without = tmp_path / "without.py"
    without.write_text("import sys\nsys.modules['orchgate'] = None\n", encoding="ascii")

    with units.processes(tmp_path, "--preload", str(without)) as cluster:
        cluster.worker()
        with connected(cluster.address) as found:
            assert [one.value for one in run_units(found, units.doubled, range(3))] == [0, 2, 4]


@pytest.mark.slow
def test_a_scheduler_of_another_version_is_named(tmp_path: Path) -> None:
    older = tmp_path / "older.py"
    says = "from distributed import versions\nversions._version_cached = lambda _: '2020.1.0'\n"
    older.write_text(says, encoding="ascii")

    with units.processes(tmp_path, "--preload", str(older)) as cluster:
        said = pytest.raises(OrchgateError, match=r"runs distributed 2020\.1\.0, and here is ")
        with said, connected(cluster.address):
            pass


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("openssl"), reason="nothing here makes certificates")
def test_a_scheduler_with_certificates_talks_to_those_who_have_one(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    asked = ("-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2")
    made = ("openssl", "req", *asked, "-keyout", str(key), "-out", str(certificate))
    subprocess.run(made, check=True, capture_output=True)
    start = "DASK_DISTRIBUTED__COMM__TLS__"
    variables = {f"{start}CA_FILE": str(certificate)}
    for who in ("SCHEDULER", "WORKER", "CLIENT"):
        variables |= {f"{start}{who}__CERT": str(certificate), f"{start}{who}__KEY": str(key)}
    plain = {name: value for name, value in os.environ.items() if not name.startswith(start)}

    with units.processes(tmp_path, "--protocol", "tls", **variables) as cluster:
        cluster.worker(**variables)
        argv = [sys.executable, "-c", CONNECTS, cluster.address]
        known, stranger = (
            subprocess.run(argv, cwd=units.TOP, env=env, capture_output=True, text=True, check=True)
            for env in ({**plain, **variables}, plain)
        )

    assert cluster.address.startswith("tls://")
    assert known.stdout == "[0, 2, 4]\n"
    assert stranger.stdout == f"{cluster.address} needs certificates, and none are configured\n"


@pytest.mark.slow
def test_a_scheduler_without_workers_is_named(cluster: units.Processes) -> None:
    with pytest.raises(OrchgateError, match="has no workers") as found, connected(cluster.address, seconds=1.0):
        pass

    assert found.value.hint.endswith(f"dask worker {cluster.address}")


@pytest.mark.slow
def test_units_come_back_in_their_order_whoever_was_first(cluster: units.Processes) -> None:
    for _ in range(2):
        cluster.worker()

    with connected(cluster.address) as found:
        done = list(run_units(found, units.slowly, range(9)))

    assert [(one.number, one.value, one.problem) for one in done] == [(n, 2 * n, "") for n in range(9)]
    assert len({one.worker for one in done}) == 2


@pytest.mark.slow
def test_workers_that_cannot_be_used_are_left_out_by_name(cluster: units.Processes) -> None:
    newer = cluster.folder / "newer.py"
    newer.write_text("import orchgate\norchgate.__version__ = '9.9'\n", encoding="ascii")
    broken = cluster.folder / "broken.py"
    broken.write_text(
        "from orchgate.runs import machine\n"
        "def without_end(*_):\n"
        "    return without_end()\n"
        "machine.fingerprint = without_end\n",
        encoding="ascii",
    )
    odd = cluster.worker("--preload", str(broken))
    old, gitless, good = cluster.worker("--preload", str(newer)), cluster.worker(PATH=""), cluster.worker()
    said: list[str] = []

    with connected(cluster.address, tell=said.append) as found:
        assert list(found.workers) == [good]
        assert [one.value for one in run_units(found, units.doubled, range(3))] == [0, 2, 4]

    assert sorted(said) == sorted(
        [
            f"worker {old} left out: orchgate 9.9 there, 0.1.0 here",
            f"worker {gitless} left out: no git",
            f"worker {odd} left out: its answer cannot be read: AssertionError",
        ]
    )


@pytest.mark.slow
def test_where_no_worker_can_be_used_all_reasons_are_said(cluster: units.Processes) -> None:
    gitless = cluster.worker(PATH="")

    said = f"no worker of {cluster.address} can be used: {gitless}: no git"

    with pytest.raises(OrchgateError, match=said), connected(cluster.address):
        pass


@pytest.mark.slow
def test_what_a_killed_worker_had_is_done_elsewhere(cluster: units.Processes) -> None:
    addresses = [cluster.worker() for _ in range(2)]
    said: list[str] = []

    with connected(cluster.address, tell=said.append) as found:
        results = run_units(found, units.slowly, range(10))
        first = next(results)
        cluster.process_of(addresses.index(first.worker)).kill()
        rest = list(results)

    assert [one.value for one in (first, *rest)] == [2 * n for n in range(10)]
    assert said == [f"worker {first.worker} left out: it went away"]


@pytest.mark.slow
def test_a_unit_that_kills_its_workers_is_named(cluster: units.Processes) -> None:
    for _ in range(4):
        cluster.worker()

    with connected(cluster.address) as found:
        done = list(run_units(found, units.kills_its_worker, range(5)))

    assert [one.value for one in done] == [0, None, 2, 3, 4]
    assert done[1].problem.startswith("given up after 3 tries; the last: worker tcp://127.0.0.1:")


@pytest.mark.slow
def test_a_unit_that_was_lost_is_done_again_though_many_wait_behind_it(
    cluster: units.Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_AHEAD", 2)
    for _ in range(2):
        cluster.worker()
    specs = [(number, str(cluster.folder / "marker")) for number in range(6)]

    with connected(cluster.address) as found:
        done = list(run_units(found, units.kills_its_worker_once, specs))

    assert [one.value for one in done] == list(range(6))


@pytest.mark.slow
def test_a_failure_is_its_unit_s_own_and_a_full_disk_the_worker_s(cluster: units.Processes) -> None:
    marked, plain = cluster.worker(MARKER="x"), cluster.worker()
    said: list[str] = []

    with connected(cluster.address, tell=said.append) as found:
        failed = list(run_units(found, units.fails_at_one, range(3)))
        done = list(run_units(found, units.unfit_in, [(n, "x") for n in range(4)]))
        with pytest.raises(OrchgateError, match="its disk is full"):
            list(run_units(found, units.writes_to, [str(cluster.folder / "fine"), "/dev/full"]))

    assert [(one.value, one.problem) for one in failed] == [(0, ""), (None, "one is refused"), (2, "")]
    assert [(one.value, one.worker) for one in done] == [(f"{n} done", plain) for n in range(4)]
    assert said[0] == f"worker {marked} left out: it is marked"
    assert said[1].startswith(f"worker {plain} left out: its disk is full")


@pytest.mark.slow
def test_a_unit_that_takes_too_long_is_ended_and_named(cluster: units.Processes) -> None:
    cluster.worker()
    pid = cluster.folder / "pid"

    with connected(cluster.address) as found:
        done = list(run_units(found, units.waits, [str(pid)], seconds=2.0))

    assert [one.problem for one in done] == ["took longer than 2 s"]
    assert _is_gone(int(pid.read_text()))


@pytest.mark.slow
def test_a_worker_that_hangs_is_left_out(cluster: units.Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENT_SECONDS", 6.0)
    addresses = [cluster.worker() for _ in range(2)]
    said: list[str] = []

    with connected(cluster.address, tell=said.append) as found:
        results = run_units(found, units.slowly, range(6))
        first = next(results)
        cluster.process_of(addresses.index(first.worker)).send_signal(signal.SIGSTOP)
        rest = list(results)

    assert [one.value for one in (first, *rest)] == [2 * n for n in range(6)]
    assert said == [f"worker {first.worker} left out: no sign of life for 6 s"]


@pytest.mark.slow
def test_a_scheduler_that_goes_away_is_named_and_what_was_done_is_kept(cluster: units.Processes) -> None:
    cluster.worker()
    with connected(cluster.address) as found:
        results = run_units(found, units.slowly, range(1000))
        done = [next(results).value for _ in range(3)]
        cluster.scheduler.kill()
        with pytest.raises(SchedulerLost, match="went away") as error:
            done.extend(one.value for one in results)

    assert done[:3] == [0, 2, 4]
    assert error.value.exit_code == 3


@pytest.mark.slow
def test_who_stops_early_leaves_nothing_running(cluster: units.Processes) -> None:
    cluster.worker()
    pid = cluster.folder / "pid"

    with connected(cluster.address) as found:
        results = run_units(found, units.waits, [str(pid)])
        _interrupted_when(lambda: pid.exists() and pid.read_text() != "")
        with pytest.raises(KeyboardInterrupt):
            next(results)
        results.close()  # type: ignore[attr-defined] # a generator

    assert _is_gone(int(pid.read_text()))


@pytest.mark.slow
def test_what_runs_on_a_worker_ends_with_it(cluster: units.Processes) -> None:
    addresses = [cluster.worker()]
    pid = cluster.folder / "pid"
    said: list[str] = []

    with connected(cluster.address, tell=said.append, seconds=2.0) as found:
        results = run_units(found, units.waits, [str(pid)], tries=1)
        _when(lambda: pid.exists() and pid.read_text() != "", cluster.process_of(0).kill)
        done = list(results)

    assert said == [f"worker {addresses[0]} left out: it went away"]
    assert done[0].problem == f"given up after 1 try; the last: worker {addresses[0]}: it went away"
    assert _is_gone(int(pid.read_text()))


def _interrupted_when(condition: Callable[[], object]) -> None:
    """Sends this process what Ctrl-C sends, as soon as it holds."""
    _when(condition, lambda: os.kill(os.getpid(), signal.SIGINT))


def _when(condition: Callable[[], object], act: Callable[[], object]) -> None:
    import threading

    def wait() -> None:
        until(condition)
        act()

    threading.Thread(target=wait, daemon=True).start()


def _is_gone(pid: int) -> bool:
    """Within the usual patience."""

    def gone() -> bool:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state in "ZX"

    until(gone)
    return True
