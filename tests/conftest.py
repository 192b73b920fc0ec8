"""A hermetic git for every test: no user settings, fixed author and dates, nothing inherited from a hook around it."""

from __future__ import annotations

import compileall
import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from orchgate.lib import cache
from tests.repo import Repo, init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# No test fails because the machine is slow: neither an example nor finding one is timed.
# Examples differ from run to run here, so that few of them add up to many.
settings.register_profile("here", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A new counterexample is for whoever works on the code; it must not refuse an unrelated change.
settings.register_profile("ci", settings.get_profile("here"), max_examples=100, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

PACKAGE = Path(__file__).parents[1] / "orchgate"


# The suite runs inside our own hook and in CI: what those export must not reach the repositories of the tests.
INHERITED = (
    "GIT_",
    "PRE_COMMIT",
    "GITHUB_",
    "CI",
    "GITLAB_",
    "TRACEPARENT",
    "TRACESTATE",
    "BUILDKITE",
    "BITBUCKET_",
    "DRONE_",
    "CIRRUS_",
    "SYSTEM_PULL",
)


def pytest_configure(config: pytest.Config) -> None:
    """Compiles the package once: where nobody keeps bytecode, each of thousands of processes compiles all of it.

    What git tells a hook goes before anything is made: a module's fixtures, too, would write to its repository.
    """
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]
    # A shell lets what it starts with `&` ignore Ctrl-C, and so would every program that a test interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # the same by nohup, of a terminal that is closed
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(PACKAGE, quiet=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a slow test measures for real may come out otherwise in one busy moment: it is tried once more.

    The summary names what needed that, so that a test that is at fault itself is seen.
    """
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keeps the compiled tests too: rewriting their assertions takes most of the time of collecting them.

    The collector of garbage has nothing to find meanwhile, nor in what was collected as long as the tests run.
    """
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        sys.dont_write_bytecode = kept


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith(INHERITED)]:
        monkeypatch.delenv(name)
    # Hooks that were written call the program by its name.
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"])
    for name in (
        "CHANGE_TARGET",
        "PULL_BASE_SHA",
        "DIFF_BUDGET_OVERRIDE_REASON",
        "ORCHGATE_PERFORMANCE_OVERRIDE",
        "ORCHGATE_DEBUG",
        *cache.CI,
        cache.VARIABLE,
        "ORCHGATE_OBSERVED_BY",
    ):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_AUTHOR_DATE": "2026-02-01T12:00:00Z",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
        "GIT_COMMITTER_DATE": "2026-02-01T12:00:00Z",
        "GIT_TERMINAL_PROMPT": "0",
        "ORCHGATE_TREES": str(tmp_path_factory.getbasetemp() / "trees"),
        "XDG_STATE_HOME": str(tmp_path_factory.getbasetemp() / "state"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def new_repo(tmp_path: Path) -> Callable[[str], Repo]:
    """Makes empty repositories by name, on branch main."""
    return lambda name: init(tmp_path / name)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """An empty repository on branch main, and the current folder."""
    made = init(tmp_path / "repo")
    monkeypatch.chdir(made.root)
    return made
