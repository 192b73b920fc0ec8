"""A repository in which everything is hostile at once, with traps outside of it that tell what it got to do."""

from __future__ import annotations

import json
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.evidence import lock
from orchgate.runner.writer import encode_entry
from orchgate.verdict import baseline
from tests.baselines import record
from tests.journals import events_of
from tests.manifest_samples import encoded, january, own
from tests.repo import Repo, init

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TASK = "0001-demo"
RUN = "2026-01-06T09-26-22-129Z-c2f9cb47"
FOREIGN_RUN = "2026-01-07T09-26-22-129Z-c2f9cb47"
# What a terminal obeys: a title, a colour, C1's own escape, a reversal, a line break that is none, half a character.
SEQUENCES = "\x1b]0;owned\x07\x1b[31m\x9b1m\u202e\u2028"
HOOKS = (
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
)
# Every key at which git takes a program, and those that would bring it to start one. {} is the program.
SETTINGS = """
[core]
	fsmonitor = {}
	hooksPath = {hooks}
	pager = {}
	editor = {}
	sshCommand = {}
	askPass = {}
	gitProxy = {}
	alternateRefsCommand = {}
	untrackedCache = true
	commentChar = T
[pager]
	log = {}
	diff = {}
	status = {}
	grep = {}
	config = {}
[diff]
	external = {}
	orderFile = /nonexistent
	noprefix = true
	submodule = diff
	ignoreSubmodules = none
[diff "evil"]
	textconv = {}
	command = {}
	cachetextconv = true
[filter "evil"]
	clean = {}
	smudge = {}
	required = true
[filter "a=b c"]
	clean = {}
	process =
[filter "spoken"]
	process = {}
	required = true
[merge "evil"]
	driver = {}
[alias]
	status = !{}
	diff = !{}
	log = !{}
	cat-file = !{}
	rev-parse = !{}
[sequence]
	editor = {}
[gpg]
	program = {}
[gpg "ssh"]
	program = {}
	defaultKeyCommand = {}
[log]
	showSignature = true
[commit]
	gpgSign = true
[credential]
	helper = !{}
[uploadpack]
	packObjectsHook = {}
[remote "origin"]
	url = ext::{}
	uploadpack = {}
	receivepack = {}
	vcs = evil
	promisor = true
	partialclonefilter = blob:none
	fetch = +refs/heads/*:refs/remotes/origin/*
[remote "--upload-pack={}"]
	url = .
[branch "main"]
	remote = --upload-pack={}
	merge = refs/heads/main
[protocol]
	allow = always
[protocol "ext"]
	allow = always
[url "ext::{} "]
	insteadOf = https://
[trailer]
	separators = :#
[trailer "x"]
	key = Task
	command = {}
	cmd = {}
[interactive]
	diffFilter = {}
[gc]
	auto = 1
	autoPackLimit = 1
	recentObjectsHook = {}
[man "evil"]
	cmd = {}
[browser "evil"]
	cmd = {}
[submodule "sub"]
	update = !{}
	url = ext::{}
	active = true
[submodule]
	recurse = true
[status]
	submoduleSummary = true
	short = true
	showUntrackedFiles = all
[color]
	ui = always
	diff = always
	status = always
	grep = always
[grep]
	patternType = perl
	column = true
	lineNumber = true
[i18n]
	logOutputEncoding = UTF-16
[include]
	path = included
[includeIf "gitdir:/**"]
	path = included-if
"""
ATTRIBUTES = """\
* filter=evil diff=evil merge=evil working-tree-encoding=UTF-8
*.md -diff ident export-subst
docs/** eol=crlf
"""
INFO_ATTRIBUTES = """\
* filter=evil diff=evil merge=evil
README.md filter=spoken
src/a.py filter="a=b c"
tasks/** filter=included
*.toml filter=included-if
"""
CONFIGURATION = """\
[performance]
pipeline = "evil"
paths = ["**"]
[pipelines.evil]
title = "t\\u001b[31m"
[[pipelines.evil.stages]]
id = "a"
shell = "touch {ran}/pipeline"
"""


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)


def _text(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _link(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


# What may stand in the place of a file.
SHAPES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "endless": _link("/dev/zero"),
    "itself": lambda path: path.symlink_to(path.name),
    "nowhere": _link("/nonexistent/x"),
    "folder": lambda path: path.mkdir(),
    "huge": _huge,
    "deep": _text(b"[" * 200_000),
    "many": _text(b'{"at":""}\n' * 3_000_000),
    "numbers": _text(b'{"entry":1,"version":1,"run_id":NaN,"x":Infinity,"y":1e999}\n'),
    "twice": _text(b'{"run_id":"a","run_id":"../../x","version":1,"version":2}\n'),
    "no text": _text(b"\xff\xfe\x00\n" * 50),
    "long line": _text(b'{"a":"' + b"x" * (100 << 20) + b'"}\n'),
}


class Stranger(NamedTuple):
    """The repository, and the folder beside it: every program that must not run leaves a file in `ran`."""

    repo: Repo
    outside: Path

    @classmethod
    def at(cls, base: Path) -> Stranger:
        return cls(Repo(base / "repo"), base / "outside")

    @property
    def head(self) -> str:
        return (self.repo.root / ".git/refs/heads/main").read_text().strip()

    @property
    def ran(self) -> set[str]:
        return set(os.listdir(self.outside / "ran"))

    def program(self, name: str, then: str = "cat") -> str:
        """A program of the stranger's."""
        path = self.outside / "bin" / name
        path.write_text(f"#!/bin/sh\ntouch '{self.outside}/ran/{name}'\n{then}\n")
        path.chmod(0o755)
        return str(path)

    def state(self) -> dict[str, tuple[int, ...]]:
        """Everything that lies here and outside, with what a writer would change about it."""
        return listing(self.repo.root) | listing(self.outside)


def listing(top: Path) -> dict[str, tuple[int, ...]]:
    """Type, size and time of last change of everything below a folder but our own cache; of folders the type alone."""
    found: dict[str, tuple[int, ...]] = {}
    for at, names, files in os.walk(top):
        for name in (*names, *files):
            path = os.path.join(at, name)
            if path.endswith(".git/orchgate") or ".git/orchgate/cache" in path:
                continue
            status = os.lstat(path)
            folder = stat.S_ISDIR(status.st_mode)
            found[path] = (status.st_mode,) if folder else (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def stranger(base: Path) -> Stranger:
    """Makes the repository in a new folder: history first, and the traps when git has done its work."""
    made = Stranger.at(base)
    init(made.repo.root)
    for name in ("ran", "bin", "hooks"):
        (made.outside / name).mkdir(parents=True)
    _history(made)
    _runs(made.repo)
    _traps(made)
    return made


def _history(made: Stranger) -> None:
    repo, said = made.repo, SEQUENCES
    evidence = f".runs/{TASK}/cli/{RUN}/manifest.json"
    odd = f"# T {said}\n\n[x](gone{said}.md) `.runs/{said}/x`\n- [x] done - Evidence: `out/{said}`\n"
    tasks = f"# Task {said}\n\n- [x] A - Evidence: `{evidence}`\n- [x] {said} - Evidence: `../../../etc/passwd`\n"
    tasks += f"- [x] B {said} — accept: `touch {made.outside}/ran/accepted {said}`\n- [ ] {said} — accept: {said}\n"
    files: dict[str, str | bytes] = {
        "README.md": "# R\n",
        "src/a.py": "print(1)\n",
        f"docs/odd\n{said}.md": odd,
        "tasks/tasks-0001-demo.md": tasks,
        "docs/ACTION_PLAN-demo.md": f"# ACTION PLAN - {said}\n\n## Concrete Steps\n\n```sh\nvim {said}\nread x\n```\n",
        "docs/PRD-demo.md": f"# PRD - demo {said}\n\n## Summary\n\nTODO\n",
        "tasks/index.json": json.dumps({"items": [{"id": "0001", "slug": "demo", "status": said}]}),
        baseline.PATH: baseline.render(baseline.Baseline().put(record(f"p{said}", reason=said))),
        lock.PATH: lock.render([lock.Pinned(f".runs/{said}", "a" * 64, 1), lock.Pinned(evidence, "b" * 64, 1)]),
    }
    repo.commit("one", files)
    repo.git("update-ref", "refs/remotes/origin/main", "HEAD")
    message = f"two {said}\n\nDiff-Budget-Override: {said}\nTask: {said}"
    repo.commit(message, {"src/a.py": "print(2)\n", "README.md": "# R2\n"})
    sub = init(repo.root / "sub")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{sub.commit('s', {'f': 'x'})},sub")
    repo.commit("three")
    repo.stage("orchgate.toml", CONFIGURATION.format(ran=made.outside / "ran"))
    repo.stage("src/a.py", "print(3)\n")


def _defaced(value: Any, *keep: str) -> Any:
    """A document with the sequences in all of its texts but those under some keys, which would make it no document."""
    if isinstance(value, dict):
        return {key: item if key in keep else _defaced(item, *keep) for key, item in value.items()}
    if isinstance(value, list):
        return [_defaced(item, *keep) for item in value]
    return value + SEQUENCES if isinstance(value, str) else value


_KEPT = ("run_id", "status", "started_at", "completed_at", "updated_at", "heartbeat_at", "format", "kind", "version")


def _runs(repo: Repo) -> None:
    """A run of ours, one of another program, and metrics of both, with the sequences wherever a text may stand."""
    folder = f".runs/{TASK}/cli"
    ours = _defaced(own(run_id=RUN, task_id=TASK), *_KEPT, "log_path", "task_id")
    repo.write(f"{folder}/{RUN}/manifest.json", encoded(ours))
    repo.write(f"{folder}/{RUN}/events.jsonl", b"".join(_line(event) for event in events_of(ours)))
    foreign = _defaced(january(run_id=FOREIGN_RUN, task_id=TASK), *_KEPT, "task_id")
    repo.write(f"{folder}/{FOREIGN_RUN}/manifest.json", encoded(foreign))
    entry = {key: ours.get(key) for key in ("run_id", "pipeline_id", "status", "started_at", "completed_at")}
    entry |= {"entry": 1, "machine": SEQUENCES, "stages": [{"id": f"s{SEQUENCES}", "status": "succeeded"}]}
    repo.write(f".runs/{TASK}/metrics.json", encode_entry(entry) + b"\n" + SEQUENCES.encode() + b"\n")
    repo.write(f".runs/{SEQUENCES}/metrics.json", encode_entry(entry) + b"\n")


def _line(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


def _traps(made: Stranger) -> None:
    repo, git = made.repo, made.repo.root / ".git"
    (git / "hooks").mkdir(exist_ok=True)
    for hook in HOOKS:
        for folder, name in ((git / "hooks", f"hook-{hook}"), (made.outside / "hooks", f"hooksPath-{hook}")):
            shutil.copy(made.program(name, "exit 0"), folder / hook)
    _add(git / "config", _settings(made))
    (git / "included").write_text(f'[filter "included"]\n\tclean = {made.program("included")}\n\trequired = true\n')
    (git / "included-if").write_text(f'[filter "included-if"]\n\tprocess = {made.program("included-if")}\n')
    (git / "info").mkdir(exist_ok=True)
    (git / "info/attributes").write_text(INFO_ATTRIBUTES)
    repo.write(".gitattributes", ATTRIBUTES)
    inner = repo.root / "sub/.git"
    (inner / "info").mkdir(exist_ok=True)
    (inner / "info/attributes").write_text("* filter=inner\n")
    inner_settings = f'[core]\n\tfsmonitor = {made.program("inner-fsmonitor")}\n[filter "inner"]\n\tclean = '
    _add(inner / "config", inner_settings + made.program("inner-clean") + "\n")
    for path in ("README.md", "tasks/tasks-0001-demo.md", "src/a.py", "orchgate.toml", "docs/PRD-demo.md", "sub/f"):
        os.utime(repo.root / path, (1, 1))  # git no longer knows that they are clean, and has to look


def _settings(made: Stranger) -> str:
    """Every setting with a program of its own, which is called like its section and key."""
    section, lines = "", []
    for line in SETTINGS.splitlines():
        if line.startswith("["):
            section = line.strip("[]").split("{")[0].replace('"', "").replace(" ", "-").replace("=", "-")
        name = f"{section}-{line.strip().split(' ')[0].strip('[')}"
        lines.append(line.replace("{hooks}", str(made.outside / "hooks")).replace("{}", _short(made, name)))
    return "\n".join(lines) + "\n"


def _short(made: Stranger, name: str) -> str:
    return made.program("".join(char if char.isalnum() else "-" for char in name)[:80])


def _add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)
