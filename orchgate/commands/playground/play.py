"""What is seen of `orchgate try`: commands as they were typed, what they printed, what came of it; and the steps."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import textwrap

from orchgate.errors import OrchgateError
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchgate.commands.playground.scratch import Scratch


_INDENT = "   "
UNDECIDED = b"PRF004"


class Play(NamedTuple):
    """A repository, and whether what happens in it is shown.

    What is not shown only prepares what comes later: nothing is judged or measured, what should not land is left out.
    """

    scratch: Scratch
    seen: bool = True
    columns: int = 80

    def say(self, text: str) -> None:
        if self.seen:
            tell(_wrapped(_INDENT + text, self.columns))

    def do(
        self, command: Sequence[str], *, shown: Sequence[str] = (), keep: str = "", cwd: str = "", code: int = 0
    ) -> str:
        """Runs what has to succeed, or to end with another code.

        Of its lines, those in which `keep` is found are shown; … stands for the others.
        """
        completed = self.scratch.run(*command, cwd=cwd)
        if completed.code != code:
            said = os.fsdecode(completed.stderr).strip()[-500:]
            raise OrchgateError(f"{' '.join(command)[:200]} failed with {completed.code}: {said}")
        self._show(shown or command, completed.stdout, keep)
        return os.fsdecode(completed.stdout)

    def only_shown(self, command: Sequence[str], *, cwd: str = "") -> None:
        """What later steps do not need."""
        if self.seen:
            self.do(command, cwd=cwd)

    def prepare(self, *command: str) -> None:
        """What nobody has to see."""
        self._replace(seen=False).do(command)

    def commit(self, message: str, *, lands: bool = True) -> None:
        self.prepare("git", "add", "--all")
        self.attempt(("git", "commit", "-qm", message), lands=lands)

    def attempt(self, command: Sequence[str], *, lands: bool, undecided: bool = False, keep: str = "") -> None:
        """A commit or a push that should land or be refused; `undecided`: or land because nobody could tell.

        Raises OrchgateError when it ends in another way.
        """
        if not self.seen:
            if lands:
                self.prepare(*command, "--no-verify")
            return
        completed = self.scratch.run(*command)
        # git's own complaint below says nothing new, and names the folder.
        said = re.sub(rb"(?m)^error: failed to push .*\n?", b"", completed.stderr) + completed.stdout
        self._show(command, said, keep)
        if undecided and completed.code == 0 and UNDECIDED in said:
            self.say("=> landed, with a warning: this machine was too noisy to decide")
        elif (completed.code == 0) == lands and completed.code in {0, 1}:
            self.say("=> landed" if lands else "=> refused")
        else:
            raise OrchgateError(
                f"{' '.join(command)} should have {'landed' if lands else 'been refused'}; exit code {completed.code}",
                f"please report this with the output above; the folder is {self.scratch.root}",
            )

    def asked(self, command: Sequence[str], keep: str = "", *, cwd: str = "") -> str:
        """What a command prints on a terminal, whatever its exit code."""
        completed = self.scratch.on_screen(*command, cwd=cwd)
        self._show(command, completed.stdout or completed.stderr, keep)
        return os.fsdecode(completed.stdout)

    def _show(self, command: Sequence[str], printed: bytes, keep: str = "") -> None:
        if not self.seen:
            return
        tell(_typed(command, self.columns))
        for line in _kept(os.fsdecode(printed), keep):
            tell(_wrapped(f"{_INDENT} {escape(line)}", self.columns))


def _kept(printed: str, keep: str) -> Iterator[str]:
    left_out = wanted = False
    for line in printed.splitlines():
        # What a long line goes on with is wanted as it is.
        wanted = bool(re.search(keep, line)) or (wanted and line.startswith("    "))
        if line.strip() and wanted:
            yield line
            left_out = False
        elif line.strip() and not left_out:
            yield "…"
            left_out = True


def tell(lines: Iterable[str]) -> None:
    sys.stdout.writelines(line + "\n" for line in lines)
    sys.stdout.flush()


def _typed(command: Sequence[str], columns: int) -> Iterator[str]:
    """A command line; broken between words, so that the lines work when they are pasted."""
    line = _INDENT + "$"
    for word in command:
        shown = escape(f'"{word}"' if " " in word else word)
        if len(line) + len(shown) + 3 > columns:
            yield line + " \\"
            line = _INDENT + " "
        line += " " + shown
    yield line


def _wrapped(line: str, columns: int) -> list[str]:
    """As a terminal would, but between words and below where the line began."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(
        line,
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    ) or [""]


# The steps of `orchgate try`, in their order


SLUG = "faster"
TASK = f"0001-{SLUG}"
CHECKLIST = f"tasks/tasks-{TASK}.md"
PLAN = f"docs/ACTION_PLAN-{SLUG}.md"
PIPELINE = "demo"
PROGRAM = "work.py"
MANIFEST = f".runs/{TASK}/cli/2026-01-01T00-00-00-000Z-00000000/manifest.json"  # of a run that never was
RUN = ("orchgate", "run", PIPELINE, "--task", TASK)
CONFIG = """
[pipelines.{pipeline}]
title = "What the playground does"
[[pipelines.{pipeline}.stages]]
id = "work"
run = [{python}, "{program}"]

[performance]                  # measured before a push that touches the program
pipeline = "{pipeline}"
paths = ["{program}"]
"""
WORK = """\
ROUNDS = {rounds}

for _ in range(ROUNDS):
    total = sum(number * number for number in range(600_000))
print(total)
"""
REASON = "Performance-Override: all three rounds are needed"
REMOTE = os.path.join(".git", "try-remote.git")  # out of the way, and gone with the folder
PUSH = ("git", "push", "-q", "origin", "main")
_COMMENT_ALONE = lazy(r"(?m)(^## [^\n]+\n)\s*<!--[^>]*-->\n(?=\n|\Z)")  # below a heading, and nothing else
_WALL_TIME = lazy(r"(\| wall time +\| +[^|]+\| +)[0-9.]+ s")
_SLOWER = lazy(r"(?m)^fail: (?:CPU|wall) time\b")
_UNDECIDED = lazy(r"(?m)^inconclusive: ")


class DemoStep(NamedTuple):
    """One thing that is shown: its title, and what does it; `slow`: it measures, or needs a push that was measured."""

    title: str
    act: Callable[[Play], None]
    slow: bool = False


def _start(play: Play) -> None:
    scratch = play.scratch
    scratch.write("README.md", "# Playground\n\nMade by `orchgate try`.\n")
    scratch.write(PROGRAM, WORK.format(rounds=3))
    play.do(("orchgate", "init", "--native"))
    python = json.dumps(sys.executable, ensure_ascii=False)
    scratch.append("orchgate.toml", CONFIG.format(pipeline=PIPELINE, python=python, program=PROGRAM))
    play.say(f"orchgate.toml also names a pipeline now, {PIPELINE}: it runs {PROGRAM}.")
    play.commit("Start")
    remote = os.path.join(scratch.root, REMOTE)
    play.prepare("git", "init", "--quiet", "--bare", "--initial-branch=main", remote)
    play.prepare("git", "remote", "add", "origin", remote)
    play.prepare("git", "push", "--quiet", "--no-verify", "--set-upstream", "origin", "main")


def _plan(play: Play) -> None:
    play.do(("orchgate", "new", SLUG))
    play.commit("Plan a task")


def _claim(play: Play) -> None:
    scratch = play.scratch
    for path in (f"docs/PRD-{SLUG}.md", f"docs/TECH_SPEC-{SLUG}.md", PLAN):
        scratch.write(path, _COMMENT_ALONE.sub(r"\1\nLittle is needed in a playground.\n", scratch.read(path)))
    scratch.append(CHECKLIST, f"- [x] Time measured before the change. Evidence: `{MANIFEST}`\n")
    play.say("The sections are filled in. The checklist ticks an item whose run never happened.")
    play.commit("Claim a measurement", lands=False)


def _measure(play: Play) -> None:
    manifest = _recorded(play.do(RUN))
    play.scratch.replace(CHECKLIST, MANIFEST, manifest)
    play.say("The item now names that manifest.")
    play.commit("Measure before the change")


def _hotspot(play: Play) -> None:
    play.only_shown(("orchgate", "hotspots", TASK))
    play.scratch.write(PROGRAM, WORK.format(rounds=1))
    play.say(f"{PROGRAM} now does one round of work in place of three.")
    play.commit("Do a third of the work")


def _decide(play: Play) -> None:
    if not play.seen:
        return
    play.say("Asked the other way round: is the version before the change slower?")
    keep = r"base|CPU|wall|memory: |\bpairs?\b|^[a-z]+:"
    printed = play.asked(("orchgate", "perf", "--base", "HEAD", "--head", "HEAD~1", PIPELINE), keep)
    play.say(f"=> {decided(printed)}")


def decided(printed: str) -> str:
    """What `orchgate perf` said of the version before, as a sentence about the change."""
    if _SLOWER.search(printed):
        return "faster: the version before is slower, and the test is sure of it"
    if _UNDECIDED.search(printed):
        return "not decided: this machine was too noisy, or the time too short"
    return "no gain that the test is sure of"


def _before_and_after(play: Play) -> None:
    before, after = _runs(play)[0], os.path.basename(os.path.dirname(_recorded(play.do(RUN, keep="^manifest"))))
    play.do(
        ("orchgate", "evidence", "summarize", "--task", TASK, "--before", before, "--after", after),
        keep=r"metric |--|time|written$",
    )
    play.do(("orchgate", "evidence", "pin"), keep="lock:")
    play.commit("Show before and after")


def _embellish(play: Play) -> None:
    text = play.scratch.read(PLAN)
    play.scratch.write(PLAN, _WALL_TIME.sub(r"\g<1>0.001 s", text))
    play.say(f"{PLAN} now has 0.001 s in place of the wall time.")
    play.commit("Embellish the result", lands=False)
    play.scratch.write(PLAN, text)
    play.prepare("git", "add", "--all")


def _push(play: Play) -> None:
    play.say("The versions before and after run in turn, for 30 s at most.")
    play.attempt(PUSH, lands=True)


def _regress(play: Play) -> None:
    play.scratch.write(PROGRAM, WORK.format(rounds=3))
    play.say(f"{PROGRAM} does three rounds again, and that is committed.")
    play.prepare("git", "commit", "-qam", "Tidy up", "--no-verify")
    play.attempt(PUSH, lands=False, undecided=True, keep=r"^(?!orchgate: (?:measuring|refs))")


def _justify(play: Play) -> None:
    if play.scratch.run("git", "rev-list", "-n1", "origin/main..main").stdout == b"":
        play.say("Nothing to justify: the push above landed.")
        return
    play.do(("git", "commit", "-q", "--amend", "--no-edit", "--trailer", REASON))
    play.attempt(PUSH, lands=True, keep=r"^(?:PRF|orchgate: (?!measuring|refs))")


def _travel(play: Play) -> None:
    play.only_shown(("orchgate", "evidence", "push"))
    with tempfile.TemporaryDirectory(prefix="orchgate-try-") as folder:
        clone = os.path.join(folder, "clone")
        remote = os.path.join(play.scratch.root, REMOTE)
        play.do(("git", "clone", "-q", remote, clone), shown=("git", "clone", "-q", REMOTE, "clone"))
        play.say("In the clone, which has no .runs/:")
        play.only_shown(("orchgate", "check", "documents", "evidence", "--all-files"), cwd=clone)
        play.only_shown(("orchgate", "evidence", "fetch"), cwd=clone)


STEPS = (
    DemoStep("The gate is put in front of commits and pushes", _start),
    DemoStep("A task gets its documents: they may land unfinished", _plan),
    DemoStep("A claim without evidence is refused", _claim),
    DemoStep("The same claim lands with a recorded run", _measure),
    DemoStep("Where does the time go?", _hotspot),
    DemoStep("Is the change faster? Not two runs say so, but a verdict", _decide, slow=True),
    DemoStep("Before and after are written into the plan, and pinned", _before_and_after),
    DemoStep("A number that no run shows is refused", _embellish),
    DemoStep("A push is measured before it lands", _push, slow=True),
    DemoStep("A push that gives the gain away is refused", _regress, slow=True),
    DemoStep("It lands for a reason that everybody sees", _justify, slow=True),
    DemoStep("A clone without any run judges the same claims", _travel, slow=True),
)


def _recorded(printed: str) -> str:
    """The repository path of the manifest that a run says it wrote."""
    found = re.search(r"(?m)^manifest: (.+)$", printed)
    return found[1] if found else MANIFEST


def _runs(play: Play) -> list[str]:
    """Ids of the recorded runs, oldest first."""
    return sorted(os.listdir(os.path.join(play.scratch.root, ".runs", TASK, "cli")))
