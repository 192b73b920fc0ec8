"""A Dask cluster that somebody else runs: connecting to its scheduler, and which of its workers can be used.

The one module that imports `distributed`, and only when somebody asks for a cluster. It never starts a scheduler, and
takes an address from the command line only: whoever can name one can have programs run there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import warnings
from collections import Counter

from orchgate.errors import OrchgateError, UsageError
from orchgate.lib.lazy import lazy
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from typing import Any

    # Typed in part only, and not installed everywhere: see pyproject.toml.
    from distributed import Client

SCHEMES = ("tcp://", "tls://")
CONNECT_SECONDS = 10.0
GREET_SECONDS = 5.0  # beyond that, for a scheduler to say what it is
ANSWER_SECONDS = 20.0  # for a worker to say what it is, and for a scheduler to answer at all
SILENT_SECONDS = 60.0  # without a sign of life, after which a worker is left out
_PAUSE = 0.2
_HINT = "dask scheduler starts one; for tls:// see docs/guide/cluster.md"
_TLS_VARIABLES = "variables that begin with DASK_DISTRIBUTED__COMM__TLS__"
_OBJECT = lazy(r"(?:in )?<[^<>]*>: ")  # of distributed, whose addresses are nobody's business
INSTALL = "pip install 'orchgate[dask]'"
START = "start one where the work shall be done: dask worker {address}"


class SchedulerLost(OrchgateError):
    """The scheduler went away. What was done until then is kept by whoever asked for it."""

    kind = "scheduler_lost"


class Worker(NamedTuple):
    """A worker that can be used: `machine` is its class, `host` tells apart machines and names none."""

    address: str
    threads: int
    machine: str
    host: str
    facts: Mapping[str, Any]


class Cluster:
    """A connection to a scheduler, with the workers that can be used, and those left out with the reason."""

    def __init__(self, client: Client, address: str, tell: Callable[[str], None], requires: Requirements) -> None:
        self.client = client
        self.address = address
        self.workers: dict[str, Worker] = {}
        self.left_out: dict[str, str] = {}
        self.there: set[str] = set()  # addresses of all workers that the scheduler last knew, also of those left out
        self._tell = tell
        self._requires = requires
        self._seen: dict[str, tuple[float, float]] = {}  # by address: its last sign of life, and when we learnt of it

    def leave_out(self, address: str, reason: str) -> None:
        """Uses a worker no more, and says why."""
        self.workers.pop(address, None)
        if address not in self.left_out:
            self.left_out[address] = reason
            self._tell(f"worker {address} left out: {reason}")

    def ask(self, question: Callable[[], Coroutine[Any, Any, Any]], seconds: float = ANSWER_SECONDS) -> Any:
        """The answer of a coroutine on the connection's own loop. Raises SchedulerLost."""

        async def within() -> Any:
            return await asyncio.wait_for(question(), seconds)

        try:
            return self.client.sync(within)
        except (TimeoutError, OSError, asyncio.CancelledError) as error:
            raise self.lost() from error

    def lost(self) -> SchedulerLost:
        return SchedulerLost(f"the scheduler at {self.address} went away", "start it again, and then this")

    def refresh(self) -> None:
        """Asks the scheduler who is there: new workers what they are, and forgets those that are gone.

        Raises SchedulerLost.
        """
        if self.client.status != "running":
            raise self.lost()
        known = self.ask(lambda: self.client.scheduler.identity(n_workers=-1))["workers"]
        self.there = set(known)
        for address in [address for address in self.workers if address not in known]:
            self.leave_out(address, "it went away")
        for address, one in known.items():
            if self._is_silent(address, float(one["last_seen"])):
                self.leave_out(address, f"no sign of life for {SILENT_SECONDS:g} s")
        new = {name: one for name, one in known.items() if name not in self.workers and name not in self.left_out}
        if new:
            self._welcome(new)

    def of_one_class(self, machine: str) -> str:
        """Keeps the workers of one machine class: of `machine`, or else of that which most are of. Which that is.

        Raises OrchgateError where none is left.
        """
        counts = Counter(worker.machine for worker in self.workers.values())
        most = machine or max(sorted(counts), key=lambda one: counts[one])
        self._requires = self._requires._replace(machine=most)
        for address, worker in list(self.workers.items()):
            if worker.machine != most:
                what = "is asked for" if machine else "is that of most"
                self.leave_out(address, f"machine class {worker.machine}, and {most} {what}")
        if not self.workers:
            raise no_worker(self)
        return most

    def _is_silent(self, address: str, sign: float) -> bool:
        now = time.monotonic()
        before = self._seen.get(address)
        if before is None or before[0] != sign:
            self._seen[address] = before = (sign, now)
        return address in self.workers and now - before[1] > SILENT_SECONDS

    def _welcome(self, new: Mapping[str, Mapping[str, Any]]) -> None:
        from orchgate.cluster import remote

        for address, said in self.broadcast(remote.facts, list(new)).items():
            reason = said if isinstance(said, str) else self._requires.unmet(said, int(new[address]["nthreads"]))
            if reason:
                self.leave_out(address, reason)
            else:
                threads = int(new[address]["nthreads"])
                self.workers[address] = Worker(address, threads, said["class"], said["host"], said)

    def broadcast(
        self, function: Callable[..., Any], addresses: list[str], *args: object, seconds: float = ANSWER_SECONDS
    ) -> dict[str, Any]:
        """What a function returns on each of some workers, beside what they do; a text says why one gave no answer.

        Raises SchedulerLost.
        """

        async def one(address: str) -> Any:
            asked = self.client.run(function, *args, workers=[address], on_error="return")
            try:
                return (await asyncio.wait_for(asked, seconds)).get(address, "it went away")
            except TimeoutError:
                return f"no answer within {seconds:g} s"
            except OSError:  # of the scheduler
                raise
            except Exception as error:  # noqa: BLE001 -- an answer may be anything, and be read as anything
                return f"its answer cannot be read: {type(error).__name__}"

        async def every() -> list[Any]:
            return await asyncio.gather(*map(one, addresses))

        found = zip(addresses, self.ask(every, seconds + ANSWER_SECONDS), strict=True)
        return {address: _why(said) if isinstance(said, BaseException) else said for address, said in found}


def _why(error: BaseException) -> str:
    """Why a worker could not do what it was asked, in words."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "orchgate":
        return "no orchgate of this version" if error.name != "orchgate" else "no orchgate"
    if isinstance(error, AttributeError) and "orchgate" in str(error):
        return "another version of orchgate"
    if isinstance(error, OSError):  # of the connection
        return "it went away"
    return f"{type(error).__name__}: {error}"


class Requirements(NamedTuple):
    """What workers must be. `alone`: that they do one thing at a time, so that nothing disturbs what is measured."""

    own: Mapping[str, Any]
    alone: bool = False
    machine: str = ""

    def unmet(self, facts: Mapping[str, Any], threads: int) -> str:
        """Why a worker cannot be used; "" where it can."""
        from orchgate.git.call import OLDEST

        if facts["orchgate"] != self.own["orchgate"]:
            return f"orchgate {facts['orchgate']} there, {self.own['orchgate']} here"
        if facts["code"] != self.own["code"]:
            return f"another build of orchgate {facts['orchgate']} than here"
        if _minor(facts["python"]) != _minor(self.own["python"]):
            return f"Python {facts['python']} there, {self.own['python']} here"
        if facts["distributed"] != self.own["distributed"]:
            return f"distributed {facts['distributed']} there, {self.own['distributed']} here"
        if not facts["git"]:
            return "no git"
        if tuple(facts["git_numbers"]) < OLDEST:
            return f"git {facts['git']}, and {'.'.join(map(str, OLDEST))} is needed"
        if self.alone and threads != 1:
            return f"runs {threads} tasks at a time; start it with --nthreads 1 to measure there"
        if self.machine and facts["class"] != self.machine:
            return f"machine class {facts['class']}, and {self.machine} is measured on"
        return ""


def _minor(version: str) -> str:
    return version.rpartition(".")[0]


def checked_address(address: str) -> str:
    """Raises UsageError."""
    scheme = next((scheme for scheme in SCHEMES if address.startswith(scheme)), "")
    host, colon, port = address.removeprefix(scheme).rpartition(":")
    if not scheme or not host or not colon or not port.isascii() or not port.isdigit():
        raise UsageError(f"{address!r} is not the address of a scheduler", "--scheduler tcp://HOST:8786, or tls://…")
    return address


@contextlib.contextmanager
def connected(
    address: str,
    *,
    tell: Callable[[str], None] = lambda _: None,
    alone: bool = False,
    seconds: float = CONNECT_SECONDS,
) -> Iterator[Cluster]:
    """A cluster with at least one worker that can be used; `tell` is told of each that cannot, and why.

    Raises UsageError for an address that is none; OrchgateError where the scheduler cannot be reached, is of another
    version, or has no worker that can be used.
    """
    checked_address(address)
    with _quiet():
        client = _client(address, seconds)
        try:
            requires = Requirements(_own(), alone)
            cluster = Cluster(client, address, tell, requires)
            _check_scheduler(cluster, requires)
            _first_workers(cluster, seconds)
            yield cluster
        finally:
            with contextlib.suppress(OSError, TimeoutError):
                client.close(timeout=2)


def _client(address: str, seconds: float) -> Client:
    try:
        import distributed
    except ImportError as error:
        raise UsageError("--scheduler needs distributed, which is not installed", INSTALL) from error

    class Client(distributed.Client):  # type: ignore[misc]  # typed in part only
        async def _ensure_connected(self, timeout: Any = None) -> None:  # noqa: ASYNC109 -- as it is there
            # Its own limits leave out the wait for the first answer, and what answers may be no scheduler.
            await asyncio.wait_for(super()._ensure_connected(timeout), seconds + GREET_SECONDS)

    try:
        return Client(address, timeout=seconds, set_as_default=False, name="orchgate", direct_to_workers=False)
    except Exception as error:  # whatever answers there is read as what a scheduler says
        raise _unreached(address, seconds, error) from error


def _unreached(address: str, seconds: float, error: Exception) -> OrchgateError:
    why = str(error.__cause__ or error).strip().partition("\n")[0] or type(error).__name__
    if "ssl_context" in why:
        names = "CA_FILE, CLIENT__CERT and CLIENT__KEY"
        return OrchgateError(f"{address} needs certificates, and none are configured", f"{_TLS_VARIABLES}: {names}")
    if isinstance(error, (MemoryError, OverflowError, TimeoutError)):  # a length, or a silence, that is no scheduler's
        why = "what answers there is no scheduler, or does not get to it"
    why = _OBJECT.sub("", why)
    return OrchgateError(f"no scheduler could be reached at {address} within {seconds:g} s: {why}", _HINT)


def _own() -> dict[str, Any]:
    import platform

    import distributed

    from orchgate import __version__
    from orchgate.cluster import remote

    return {
        "orchgate": __version__,
        "code": remote.code(),
        "python": platform.python_version(),
        "distributed": distributed.__version__,
    }


def _check_scheduler(cluster: Cluster, requires: Requirements) -> None:
    """Raises OrchgateError where the scheduler is another version of distributed than ours, or of Python."""
    found = cluster.ask(lambda: cluster.client.scheduler.versions(packages=[]))
    there, here = found["packages"].get("distributed"), requires.own["distributed"]
    if there != here:
        raise OrchgateError(
            f"the scheduler at {cluster.address} runs distributed {there}, and here is {here}",
            "install the same version on both sides",
        )


def _first_workers(cluster: Cluster, seconds: float) -> None:
    """Raises OrchgateError where no worker can be used."""
    deadline = time.monotonic() + seconds
    while True:
        cluster.refresh()
        if cluster.workers:
            return
        if cluster.left_out:
            raise no_worker(cluster)
        if time.monotonic() > deadline:
            raise OrchgateError(
                f"the scheduler at {cluster.address} has no workers", START.format(address=cluster.address)
            )
        time.sleep(_PAUSE)


def no_worker(cluster: Cluster) -> OrchgateError:
    """What to raise where the last usable worker is left out."""
    by_reason: dict[str, list[str]] = {}
    for address, why in cluster.left_out.items():
        by_reason.setdefault(why, []).append(address)
    reasons = "; ".join(
        f"{found[0] if len(found) == 1 else counted(len(found), 'worker')}: {why}" for why, found in by_reason.items()
    )
    return OrchgateError(
        f"no worker of {cluster.address} can be used: {reasons}", START.format(address=cluster.address)
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What goes wrong is said by us, once and in our words; distributed logs it as well, from threads of its own."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
