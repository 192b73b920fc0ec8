"""The verbs that write, each with the repository it is called in and what may come of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fuzz.worker import HERMETIC

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

ORCHGATE = str(Path(sys.executable).with_name("orchgate"))
MARK = "ORCHGATE_KILLS_ROOM"  # in the environment of whatever is started in a room: its children are found by it
PATIENCE = 120.0
CONFIG = """\
[performance]
pipeline = "demo"
budget-seconds = 1
[[pipelines.demo.stages]]
id = "one"
run = ["true"]
[[pipelines.demo.stages]]
id = "two"
shell = "sleep 0.05; test ! -e broken"
needs = ["one"]
"""
BUILD = """\
git init -q --template= -b main . && git init -q --template= --bare ../remote.git
git remote add origin ../remote.git
printf '.runs/\\nout/\\nbroken\\n' > .gitignore
git add -A && git commit -q -m base && git push -q -u origin main
orchgate new demo --task 0001-demo
for n in 1 2 3; do orchgate run demo --task 0001-demo; done
first=$(ls .runs/0001-demo/cli | head -1)
echo "- [x] Ran - Evidence: \\`.runs/0001-demo/cli/$first/manifest.json\\`" >> tasks/tasks-0001-demo.md
git add -A && git commit -q -m packet
"""
PINNED = "orchgate evidence pin && git add -A && git commit -q -m pinned"
RUNS = ".runs/0001-demo/cli"


class Verb(NamedTuple):
    """A command line, the shell lines that lead up to it, and the exit codes that it may end with when disturbed.

    `take_up` takes up the run RUN that was disturbed, where a second call makes another one; `beside` are exit codes
    that it may end with when others are at the same. `@2` is the second of the recorded runs, HEAD the commit's id.
    """

    name: str
    argv: tuple[str, ...]
    before: str = ""
    stdin: str = ""
    refusals: tuple[int, ...] = (3,)
    take_up: tuple[str, ...] = ()
    beside: tuple[int, ...] = ()


_RUN = ("--task", "0001-demo")
VERBS = (
    Verb("run", ("run", "demo", *_RUN), take_up=("resume", "RUN", *_RUN)),
    Verb(
        "resume",
        ("resume", "latest", *_RUN),
        f"touch broken; orchgate run demo {' '.join(_RUN)} || rm broken",
        beside=(3,),
    ),
    Verb(
        "rlm",
        ("rlm", "--goal", "x", "--agent", "sh -c 'cat >/dev/null; echo x >>f'", "--validator", "true"),
        refusals=(3, 10),
        take_up=("rlm", "--resume", "RUN"),
    ),
    Verb("observe", ("observe", "--task", "0001-demo", "--", "sh", "-c", "echo x >out.txt")),
    Verb("new", ("new", "second0")),
    Verb(
        "init",
        ("init",),
        "rm -rf .git/hooks; printf 'repos:\\n- repo: meta\\n  hooks:\\n  - id: identity\\n' > .pre-commit-config.yaml",
    ),
    Verb("init-fresh", ("init",), "rm -rf .git/hooks orchgate.toml .gitignore"),
    Verb("init-native", ("init", "--native"), "rm -rf .git/hooks .gitignore"),
    Verb("pin", ("evidence", "pin")),
    Verb("summarize", ("evidence", "summarize", "--task", "0001-demo", "--before", "@1", "--after", "@2", "@3")),
    Verb("push", ("evidence", "push"), PINNED),
    Verb(
        "fetch",
        ("evidence", "fetch"),
        f"{PINNED} && orchgate evidence push && git update-ref -d refs/orchgate/evidence && rm -r .runs",
    ),
    Verb("metrics", ("metrics",), "rm -f .runs/0001-demo/aggregate.*"),
    Verb("report", ("report", "-o", "../page.html")),
    Verb("baseline-record", ("baseline", "record", "--runs", "10")),
    Verb(
        "baseline-promote",
        ("baseline", "promote", "--from", "../cand"),
        "orchgate baseline record --runs 10 -o ../cand",
    ),
    Verb("baseline-drop", ("baseline", "drop"), "orchgate baseline record --runs 10"),
    Verb("perf", ("perf", "--max-pairs", "2", "--", "true")),
    Verb(
        "pre-push",
        ("hook", "pre-push", "origin", "../remote.git"),
        "git push -q origin main; git checkout -q -b topic; echo x > code.py; git add -A; git commit -q -m code",
        "refs/heads/topic HEAD refs/heads/topic " + "0" * 40 + "\n",
    ),
)
BY_NAME: Mapping[str, Verb] = {verb.name: verb for verb in VERBS}


class Room(NamedTuple):
    """A folder of its own: the repository, its remote, temporary files and work trees."""

    folder: str

    @property
    def repo(self) -> str:
        return os.path.join(self.folder, "repo")

    @property
    def environ(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        path = f"{os.path.dirname(ORCHGATE)}{os.pathsep}{inherited.get('PATH', '')}"
        own = {"TMPDIR": "tmp", "HOME": "home", "ORCHGATE_TREES": "trees", "PRE_COMMIT_HOME": "home/pre-commit"}
        places = {name: os.path.join(self.folder, place) for name, place in own.items()}
        return {**inherited, **HERMETIC, **places, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", MARK: self.folder}

    def shell(self, lines: str) -> None:
        """Runs shell lines that must succeed."""
        done = subprocess.run(
            ["sh", "-e", "-c", lines],
            cwd=self.repo,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{lines}: {(done.stdout + done.stderr).decode('utf-8', 'replace')}")

    def git(self, *args: str) -> tuple[int, str]:
        done = subprocess.run(["git", *args], cwd=self.repo, env=self.environ, capture_output=True, check=False)
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")

    def argv(self, verb: Verb) -> list[str]:
        """The command line, with the ids of the recorded runs put in."""
        runs = sorted(os.listdir(os.path.join(self.repo, RUNS))) if os.path.isdir(os.path.join(self.repo, RUNS)) else []
        words = (runs[int(word[1:]) - 1] if word[:1] == "@" else word for word in verb.argv)
        return [ORCHGATE, *words]

    def stdin(self, verb: Verb) -> bytes:
        return verb.stdin.replace("HEAD", self.git("rev-parse", "HEAD")[1].strip()).encode() if verb.stdin else b""


class Ended(NamedTuple):
    """How a call ended: its exit code (negative: the signal), and all it said."""

    code: int
    out: str


def call(room: Room, verb: Verb, wrapper: tuple[str, ...] = ()) -> Ended:
    """The verb in a room, to its end."""
    done = subprocess.run(
        [*wrapper, *room.argv(verb)],
        cwd=room.repo,
        env=room.environ,
        input=room.stdin(verb),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        timeout=PATIENCE,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode("utf-8", "replace"))


def take_up(room: Room, verb: Verb, known: Container[str]) -> Iterator[str]:
    """Takes up every run of a room that is not among the known ones; complaints about those that cannot be."""
    top = Path(room.repo, ".runs")
    for folder in sorted(top.glob("*/cli/*")) if verb.take_up else ():
        if folder.name not in known:
            ended = call(room, verb._replace(argv=tuple(folder.name if w == "RUN" else w for w in verb.take_up)))
            if ended.code not in (0, 2):
                yield f"a disturbed run cannot be taken up, {ended.code}: {ended.out[-300:]}"


def runs(room: Room) -> frozenset[str]:
    return frozenset(path.name for path in Path(room.repo, ".runs").glob("*/cli/*"))


def build(folder: str) -> Room:
    """The room that all others are copies of."""
    room = Room(folder)
    for name in ("repo", "tmp", "home", "trees"):
        os.makedirs(os.path.join(folder, name), mode=0o700)
    Path(room.repo, "orchgate.toml").write_text(CONFIG)
    room.shell(BUILD)
    return room


def copy(room: Room, folder: str) -> Room:
    shutil.copytree(room.folder, folder, symlinks=True)
    return Room(folder)
