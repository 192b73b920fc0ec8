"""What `orchgate doctor` looks at, in the order of what depends on what."""

from __future__ import annotations

import os
import shutil
import sys
import time

from orchgate.commands.init import hooks, runners
from orchgate.commands.init.edits import is_executable
from orchgate.commands.shared import work_tree
from orchgate.config.source import unread_edit
from orchgate.errors import OrchgateError, UsageError
from orchgate.gate import session
from orchgate.git import scope
from orchgate.git.call import OLDEST, git_version
from orchgate.lib import process
from orchgate.lib.forks import cores
from orchgate.lib.lazy import lazy
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import ScopeRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orchgate.commands.init.hooks import Place
    from orchgate.config.settings import Config
    from orchgate.gate.context import Context
    from orchgate.git.repository import Repository


GATING = ("pre-commit", "pre-push")  # the hooks without which something lands unjudged
SHARED = ("pre-commit", "prek", "lefthook", "husky")  # runners whose configuration is committed
CI_FILES = (".gitlab-ci.yml", "azure-pipelines.yml", ".circleci/config.yml", "Jenkinsfile")
WORKFLOWS = ".github/workflows"
MOST_RUNS = 50  # the newest, whose durations are looked at
AHEAD_SECONDS = 300.0  # by which the newest commit may be ahead of this clock
NOISY = 0.05  # share of the median that the middle half of the runs may span before it is worth a word
_CALLS = lazy(rb"\borchgate[\w-]*[\"']? (?:check|hook)\b|\borchgate@")  # in a CI file
_PATHS = lazy(rb"[\w.][\w./-]+")
MOST_SCRIPTS = 20  # of a CI file, that are read
EXECUTABLE = "100755"
_RUNNERS = lazy(rb"\b(?:pre-commit|prek|lefthook)[\"']? run\b|pre-commit/action")


class Fact(NamedTuple):
    """One thing that was looked at. `status`: ok, advice, or problem; `command` is what helps, "" for nothing."""

    topic: str
    status: str
    message: str
    command: str = ""


def ok(topic: str, message: str) -> Fact:
    return Fact(topic, "ok", message)


def advice(topic: str, message: str, command: str = "") -> Fact:
    return Fact(topic, "advice", message, command)


def problem(topic: str, message: str, command: str = "") -> Fact:
    return Fact(topic, "problem", message, command)


def facts(*, noise: bool) -> Iterator[Fact]:
    """Everything that was found out, one after the other; nothing raises."""
    yield from _tried("git", _git)
    try:
        with session.opened() as repository:
            yield _repository(repository)
            for topic, look in (
                ("hooks", _hooks),
                ("base", _base),
                ("configuration", _configuration),
                ("history", _history),
                ("clock", _clock),
            ):
                yield from _tried(topic, lambda look=look: look(repository))  # type: ignore[misc]
    except OrchgateError as error:
        yield problem("repository", error.message, error.hint)
    yield from _machine(noise=noise)


def _tried(topic: str, look: Callable[[], Iterator[Fact]]) -> Iterator[Fact]:
    try:
        yield from look()
    except OrchgateError as error:
        yield problem(topic, error.message, error.hint)


def _git() -> Iterator[Fact]:
    shown, version = git_version()
    wanted = ".".join(map(str, OLDEST))
    if version >= OLDEST:
        yield ok("git", f"{shown}, at least {wanted}")
    else:
        yield problem("git", f"{shown} is older than {wanted}", f"install git {wanted} or newer")


def _repository(repository: Repository) -> Fact:
    if not repository.root:
        return advice("repository", "bare: there is no index and nothing on disk; only revisions can be judged")
    kind = "linked work tree" if os.path.isfile(os.path.join(repository.root, ".git")) else "work tree"
    return ok("repository", f"{kind} {repository.root}")


# -- Hooks -----------------------------------------------------------------------------------------


def _hooks(repository: Repository) -> Iterator[Fact]:
    if not repository.root:
        return
    here = hooks.of(repository)
    there = runners.found(here)
    managed = [one for one in there if one.name != "git" or here.hooks_path]
    if len(managed) > 1:
        listed = " and ".join(f"{one.name} ({one.shown})" for one in managed)
        yield advice("hooks", f"several hook runners: {listed}", f"orchgate init --runner {managed[0].name} --dry-run")
    wired = [one.name for one in there if one.wired]
    asking = [hook for hook in hooks.HOOK_TYPES if _asks(here, hook, wired)]
    for hook in GATING:
        yield _hook(here, hook, asks=hook in asking)
    rest = [hook for hook in hooks.HOOK_TYPES if hook not in (*asking, *GATING)]
    if asking and rest:
        yield advice("hooks", f"not asked at {' and '.join(rest)}", "orchgate init --dry-run")
    yield from _colleagues(repository, here, wired=wired, asking=bool(asking))


def _asks(here: Place, hook: str, wired: list[str]) -> bool:
    """Whether git will ask the gate at this hook."""
    text, path = here.hook_text(hook), os.path.join(here.hooks, hook)
    if not text or not is_executable(path):
        return False
    own = ".husky/_" in here.hooks_path.replace(os.sep, "/")
    script = here.hook_text(os.path.join(os.pardir, hook)) if own else text
    return hooks.calls(script, hook) or hooks.generated_by(text) in wired


def _hook(here: Place, hook: str, *, asks: bool) -> Fact:
    path = os.path.join(here.hooks, hook)
    shown = here.shown(path)
    owner = hooks.generated_by(here.hook_text(hook)) or ("husky" if ".husky" in here.hooks_path else "")
    by = f" (through {owner})" if owner else ""
    if asks:
        return ok("hooks", f"{hook} asks the gate: {shown}{by}")
    if not here.hook_text(hook):
        return problem("hooks", f"{hook} is not installed: there is no {shown}", "orchgate init")
    if not is_executable(path):
        return problem("hooks", f"{shown} is not executable, so git ignores it", f"chmod +x {shown}")
    return problem("hooks", f"{shown}{by} does not ask the gate", "orchgate init")


def _colleagues(repository: Repository, here: Place, *, wired: list[str], asking: bool) -> Iterator[Fact]:
    """Whether what is pushed from somebody else's clone is judged."""
    tracked = repository.index.entries
    shared = [name for name in wired if name in SHARED]
    ci = sorted(path for path in tracked if path in CI_FILES or path.startswith(WORKFLOWS + "/"))
    running = [path for path in ci if _gates(repository, path, wired=bool(shared))]
    if running:
        yield ok("ci", f"{running[0]} asks the gate, whoever pushes")
    else:
        yield advice("ci", "no CI file runs the gate: a push from a clone without hooks is judged by nobody", _ci(here))
    if shared:
        install = {"husky": "npm install"}.get(shared[0], f"{shared[0]} install")
        yield ok("colleagues", f"a fresh clone is gated once somebody runs there: {install}")
    elif asking:
        yield advice("colleagues", "the hooks are of this clone alone; a fresh one needs its own", "orchgate init")


def _gates(repository: Repository, path: str, *, wired: bool) -> bool:
    """Whether a CI file, or a script that it names, calls us or a runner of hooks that does."""
    content = repository.index.read(path)
    scripts = sorted(_named(content) & repository.index.entries.keys())[:MOST_SCRIPTS]
    texts = (content, *(repository.index.read(name) for name in scripts if _script(repository, name)))
    return any(_CALLS.search(text) or (wired and _RUNNERS.search(text)) for text in texts)


def _named(content: bytes) -> set[str]:
    """What may be paths in a CI file, from the top of the repository."""
    return {os.path.normpath(os.fsdecode(word)) for word in _PATHS.findall(content)}


def _script(repository: Repository, path: str) -> bool:
    return repository.index.entries[path].mode == EXECUTABLE or path.endswith((".sh", ".bash"))


def _ci(here: Place) -> str:
    service = "gitlab" if here.has(".gitlab-ci.yml") else "github"
    return f"orchgate init --ci {service} --dry-run"


# -- What is judged, and by what -------------------------------------------------------------------


def _base(repository: Repository) -> Iterator[Fact]:
    if repository.head is None:
        yield ok("base", "no commit yet: the first one is judged as a whole")
        return
    target = scope.target(repository, ScopeRequest(), os.environ)
    ctx = session.context(repository, target, os.environ)
    if ctx.scope.unknown is not None:
        yield problem("base", ctx.scope.unknown.message, ctx.scope.unknown.hint)
    elif ctx.scope.base is None:
        yield advice("base", f"none: {ctx.scope.origin or 'nothing to compare with'}")
    else:
        yield ok("base", f"{ctx.scope.base[:7]} ({ctx.scope.origin or 'the default branch'})")
    if repository.shallow:
        yield advice("depth", "a shallow clone: what lies below is unknown to the gate", "git fetch --unshallow")


def _configuration(repository: Repository) -> Iterator[Fact]:
    target = scope.target(repository, ScopeRequest(staged=True), os.environ)
    ctx = session.context(repository, target, os.environ)
    source = ctx.proposed.source
    if not source.file:
        yield advice("configuration", "none: every check goes by its defaults", "orchgate init --dry-run")
    else:
        yield ok("configuration", f"{source.file}, as it is staged")
    if source.shared:
        what = f"extends {counted(len(source.shared), 'shared configuration')}, as pinned"
        yield ok("configuration", f"{what}; `orchgate config update --check` asks whether there are newer ones")
    if repository.root and (edit := unread_edit(source, repository.root)):
        yield advice("configuration", edit, f"git add {source.file or 'orchgate.toml'}")
    yield from _speed(ctx)
    yield from _folders(repository, ctx.config)
    yield from _evidence(ctx)
    if ctx.config.signatures.required:
        yield _signatures(ctx)


def _speed(ctx: Context) -> Iterator[Fact]:
    settings = ctx.config.performance
    if not settings.pipeline:
        yield advice("speed", "off: no performance.pipeline is configured", "orchgate config keys performance")
        return
    seconds = sorted(_durations(ctx.root, settings.pipeline))
    if not seconds:
        record = f"orchgate run {settings.pipeline} --task ID"
        yield advice("speed", f"no run of pipeline {settings.pipeline} is recorded here: its length is unknown", record)
        return
    middle, budget = seconds[len(seconds) // 2], settings.max_seconds
    message = (
        f"{settings.pipeline} took {middle:.1f} s (median of {counted(len(seconds), 'run')}); a push has {budget:g} s"
    )
    if middle * 6 <= budget:  # three runs of each side are the fewest that decide anything
        yield ok("speed", message)
    else:
        yield advice("speed", message + ": it is quick-checked by one run", "orchgate perf --print-job github")


def _durations(root: str, pipeline: str) -> Iterator[float]:
    from itertools import islice

    from orchgate.commands.shared import run_rows
    from orchgate.runs import ids

    unlisted: list[OrchgateError] = []  # a folder that cannot be listed is for `orchgate status` to say
    for task, run in islice(ids.all_runs(root, failed=unlisted.append), MOST_RUNS) if root else ():
        row = run_rows.row(task, os.path.join(root, ids.RUNS, task, "cli", run))
        seconds = row.get("seconds")
        if (row["pipeline_id"], row["status"]) == (pipeline, "succeeded") and isinstance(seconds, int | float):
            yield float(seconds)


def _folders(repository: Repository, config: Config) -> Iterator[Fact]:
    if not repository.root:
        return
    for folder in work_tree.unignored_folders(repository, config.evidence.roots):
        yield advice(
            "folders", f"{folder}/ is not ignored: `git add .` takes what runs write there", work_tree.GITIGNORE_COMMAND
        )
    for folder in config.evidence.roots:
        full = os.path.join(repository.root, folder)
        if os.path.isdir(full) and not os.access(full, os.W_OK | os.X_OK):
            yield problem("folders", f"{folder}/ cannot be written to: no run can be recorded", f"chmod u+wx {folder}")


def _evidence(ctx: Context) -> Iterator[Fact]:
    try:
        lock = ctx.lock
    except OrchgateError as error:
        yield problem("evidence", error.message, error.hint)
        return
    if lock is None:
        yield ok("evidence", "nothing is pinned; a clone elsewhere cannot check links to runs")
        return
    missing = [path for path in lock.pins if not ctx.artifacts.on_disk(path)]
    if missing:
        more = f" and {len(missing) - 1:,} more" if missing[1:] else ""
        yield advice("evidence", f"{missing[0]}{more}: pinned, and not on this disk", "orchgate evidence fetch")
    else:
        yield ok("evidence", f"{counted(len(lock.pins), 'pinned artifact')}, all on this disk")


def _signatures(ctx: Context) -> Fact:
    """Whether it can be told who signed the runs that have to be signed."""
    from orchgate.attest.bundle import ALLOWED_SIGNERS
    from orchgate.attest.signatures import MAX_SIGNERS_BYTES

    wanted = f"runs have to be signed ({', '.join(ctx.config.signatures.required)})"
    if ctx.base.find(ALLOWED_SIGNERS, MAX_SIGNERS_BYTES) is None:
        message = f"{wanted}, and the base has no {ALLOWED_SIGNERS}: nobody can tell whose signature counts"
        return problem("signatures", message, f"land {ALLOWED_SIGNERS} first, in a separate change")
    if not shutil.which("ssh-keygen"):
        return problem("signatures", f"{wanted}, and there is no ssh-keygen to verify them", "install OpenSSH")
    return ok("signatures", f"{wanted}; whose keys count is in {ALLOWED_SIGNERS} of the base")


def _history(repository: Repository) -> Iterator[Fact]:
    """Whether runs can be pushed to another store than git, where one is configured."""
    if not repository.root:
        return
    from orchgate.commands.history import workspace
    from orchgate.config.load import load_work_tree

    try:
        config = load_work_tree(repository.root)
    except OrchgateError:  # said already
        return
    if config.history.to == "git":
        return
    try:
        where = workspace.configured_store(repository, config)
        workspace.require_extra()
    except UsageError as error:
        yield advice("history", error.message, error.hint)
        return
    if os.path.isabs(str(where)) and not os.path.isdir(str(where)):
        yield advice("history", f"{where} is not there, or not a directory", "make it, or mount the disk it is on")
    else:
        yield ok("history", f"runs are shared by {where} (history.to)")


def _clock(repository: Repository) -> Iterator[Fact]:
    if repository.head is None:
        return
    newest = int(os.fsdecode(repository.git("log", "-1", "--format=%ct", repository.head)).strip() or 0)
    ahead = newest - time.time()
    if ahead > AHEAD_SECONDS:
        message = f"the newest commit is dated {counted(round(ahead / 60), 'minute')} after this clock"
        yield problem("clock", message, "set the clock; runs recorded now would count as older than they are")
    else:
        yield ok("clock", "not behind the newest commit")


def _machine(*, noise: bool) -> Iterator[Fact]:
    number, load = cores(), load_of_machine()
    message = f"{counted(number, 'core')}, load {load:.1f}"
    if load > number:
        yield advice("machine", f"{message}: other work runs here, and a push takes longer to decide")
    else:
        yield ok("machine", message)
    if noise:
        found = noise_of_machine()
        message = f"the same work, {RUNS} times: CPU time varied by {found.cpu:.1%}, wall time by {found.wall:.1%}"
        if found.cpu <= NOISY:
            yield ok("noise", message)
        else:
            yield advice("noise", f"{message}; small slow-downs take many runs to see here")


# What `orchgate doctor` measures of the machine: its load, and how much the same work differs from run to run


RUNS = 24
WORK = "for _ in range(400_000): pass"  # some 20 ms


class Noise(NamedTuple):
    """How much the same work differs from run to run: the middle half of the runs, as shares of their median."""

    cpu: float
    wall: float


def noise_of_machine() -> Noise:
    samples = [_sample() for _ in range(RUNS)]
    return Noise(*(_spread([one[at] for one in samples]) for at in (0, 1)))


def load_of_machine() -> float:
    """Programs that wanted a core, in the mean of the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _sample() -> tuple[float, float]:
    """CPU and wall time of one run, in seconds."""
    start = time.perf_counter()
    output = os.open(os.devnull, os.O_WRONLY)
    try:
        child = process.spawn([sys.executable, "-I", "-S", "-c", WORK], cwd=os.getcwd(), env={}, output=output)
        _, _, usage = os.wait4(child, 0)
    finally:
        os.close(output)
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - start


def _spread(values: Sequence[float]) -> float:
    """The width of the middle half, as a share of the median."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return (ordered[-1 - quarter] - ordered[quarter]) / ordered[len(ordered) // 2]
