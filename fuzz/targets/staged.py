"""Commits judged with what earlier ones left behind, and without: packets, task list, names and headings at random.

What is said has to be the same to the letter, also beside another work tree, where what is kept was damaged, under
another configuration, and on another day; and the same as of trees that are listed whole.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import os
import random
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

from fuzz.violation import Violation
from orchgate.errors import OrchgateError
from orchgate.evidence import kept_lock
from orchgate.evidence import lock as locks
from orchgate.gate import session
from orchgate.gate.documents import ParsedDocuments
from orchgate.git.repository import open_repository
from orchgate.lib import cache, pages
from orchgate.model import ScopeTarget
from orchgate.outputs import json as json_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchgate.gate.context import Context

LOCK = locks.PATH
STORE = os.path.join(".git", "lfs", "objects")
SMOKE = 12  # inputs of the quick test: each judges some commits
LIST = "tasks/index.json"
SLUGS = ("slim", "slim-audit", "slim-audit-2", "slim-audit-of-all", "fast", "faster-é", "a")
IDS = ("", "0101-", "0102-", "20260101-", "x-9-")
KINDS = ("docs/PRD-{}.md", "docs/TECH_SPEC-{}.md", "docs/ACTION_PLAN-{}.md", "tasks/tasks-{}.md", "tasks/specs/{}.md")
OTHERS = (".agent/task/{}.md", "docs/PRD-{}.mdx", "plans/{}/PRD.md", "docs/{}.md")
CONFIGS = (
    "",
    'profile = "codex-orchestrator"\n',
    'profile = "codex-orchestrator"\n[documents]\nexclude = ["docs/*audit*"]\n',
    '[documents]\ntask-index = ""\n',
    '[documents.paths]\nprd = "plans/{slug}/PRD.md"\nchecklist = "tasks/tasks-{task}-{slug}.md"\n',
    '[documents.paths]\nprd = ["docs/PRD-{slug}.md", "docs/{slug}.md"]\nchecklist = "docs/TECH_SPEC-{task}.md"\n',
    "[documents\n",
)
BODIES = (
    "## Summary\n\nShort.\n\n## Goals\n\n- one\n",
    "- Primary PRD: docs/PRD-{}.md\n\n## Progress\n\n- [x] done - Evidence: `.runs/x/cli/y/manifest.json`\n",
    "See [it](PRD-{}.md), `tasks/tasks-0101-{}.md` and [more](../docs/TECH_SPEC-{}.md#summary).\n",
    "## Approvals\n\n- Product:\n\n## Progress\n\n- [ ] TODO\n",
    "[link](gone.md) [link](/docs/{}) `src/a.py:3` [up](../../x)\n",
)
TITLES = (
    None,
    "Slim",
    "two\rlines",
    "two\nlines",
    "a\tb\\n",
    "any\x0b\x1c\x85\u2028line",
    '"items": [{"id": "a"}]',
    "\0",
)
STATUSES = (None, "in_progress", "Completed", "done", "archived")


class World(NamedTuple):
    """A repository with a second work tree, by their folders, and what their indexes hold: mode and content by path."""

    root: str
    other: str
    files: dict[str, tuple[str, bytes]]


def seeds() -> Iterable[bytes]:
    yield from (bytes([number]) for number in range(64))


def prepare(folder: str) -> Callable[[bytes], int]:
    numbers = iter(range(1 << 30))
    # Few pins, paths and tasks fill many pages here, and have an index.
    kept_lock.MANY, kept_lock.PAGE, pages.PAGE = 1, 200, 60

    def one(data: bytes) -> int:
        chance = random.Random(data)
        world = made(os.path.join(folder, str(next(numbers))), chance)
        rounds = chance.randrange(2, 7)
        for _ in range(rounds):
            change(world, chance)
            root = world.root if chance.random() < 0.8 else world.other
            stage(root, world.files)
            compare(root, chance)
            if chance.random() < 0.5:
                commit(root)
            if chance.random() < 0.2:
                damage(world.root, chance)
            if chance.random() < 0.2:
                shutil.rmtree(os.path.join(world.root, STORE), ignore_errors=True)
        return rounds

    return one


def git(root: str, *args: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["git", *args], cwd=root, input=stdin, check=True, capture_output=True).stdout.strip()


def made(folder: str, chance: random.Random) -> World:
    root, other = os.path.join(folder, "one"), os.path.join(folder, "two")
    os.makedirs(root)
    git(root, "init", "--quiet", "--template=")
    world = World(root, other, {"src/a.py": ("100644", b"x = 1\n")})
    for _ in range(chance.randrange(1, 12)):
        change(world, chance)
    stage(root, world.files)
    commit(root)
    git(root, "worktree", "add", "--quiet", "--detach", "--no-checkout", other)
    return world


def stage(root: str, files: Mapping[str, tuple[str, bytes]]) -> None:
    """Makes the index of a work tree hold these files, and nothing else."""
    contents = dict.fromkeys(content for mode, content in files.values() if mode != "160000")
    parts = [b"blob\nmark :%d\ndata %d\n%b\n" % (at, len(one), one) for at, one in enumerate(contents, 1)]
    marks = os.path.join(root, ".marks")
    git(root, "fast-import", "--quiet", f"--export-marks={marks}", stdin=b"".join(parts))
    with open(marks, encoding="ascii") as file:
        oids = {int(line.split()[0][1:]): line.split()[1] for line in file}
    os.unlink(marks)
    known = {content: oids[at] for at, content in enumerate(contents, 1)}
    lines = [
        f"{mode} {content.decode() if mode == '160000' else known[content]}\t{path}\0"
        for path, (mode, content) in files.items()
    ]
    git(root, "read-tree", "--empty")
    git(root, "update-index", "-z", "--index-info", stdin=os.fsencode("".join(lines)))


def commit(root: str) -> None:
    tree = git(root, "write-tree", "--missing-ok").decode()
    made = git(root, "commit-tree", "-m", "change", tree).decode()
    git(root, "update-ref", "HEAD", made)


def damage(root: str, chance: random.Random) -> None:
    folder = os.path.join(root, ".git", "orchgate", "cache")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        with open(path, "r+b") as file:
            content = file.read()
            how = chance.randrange(6)
            if how == 0:
                os.unlink(path)
            elif how == 1:
                file.truncate(chance.randrange(len(content) + 1))
            elif how == 2 and content:  # a damage may have left nothing
                at = chance.randrange(len(content))
                file.seek(at)
                file.write(bytes([content[at] ^ 1 << chance.randrange(8)]))


# -- What is judged -----------------------------------------------------------------------------------


def change(world: World, chance: random.Random) -> None:
    """One edit of the files."""
    files, kind = world.files, chance.random()
    paths = sorted(files)
    if kind < 0.4:
        slug = chance.choice(SLUGS)
        kinds = KINDS if chance.random() < 0.4 else (chance.choice((*KINDS, *OTHERS)),)
        for pattern in kinds:
            files[pattern.format(chance.choice(IDS) + slug)] = ("100644", document(chance))
    elif kind < 0.5:
        path = chance.choice(paths)
        mode, content = files[path]
        if chance.random() < 0.1 and mode != "160000":
            files[path] = (chance.choice(("100644", "100755", "120000")), content)
        elif chance.random() < 0.2 and mode != "160000":
            files[path] = (mode, encoded(content, chance))
        else:
            files[path] = (mode, content + b"more\n" if mode == "100644" else content)
    elif kind < 0.6 and len(files) > 1:
        del files[chance.choice(paths)]
    elif kind < 0.7:
        old, new = chance.choice(paths), chance.choice((*KINDS, *OTHERS)).format(chance.choice(SLUGS))
        files[new if chance.random() < 0.8 else old.upper()] = files.pop(old)
    elif kind < 0.84:
        files[LIST] = ("100644", task_list(files.get(LIST, ("", b""))[1], chance))
    elif kind < 0.89:
        files[LOCK] = ("100644", lock(chance))
    elif kind < 0.95:
        keep_elsewhere(world, chance)
    elif kind < 0.98:
        files["orchgate.toml"] = ("100644", chance.choice(CONFIGS).encode())
    else:
        odd = ("120000", os.fsencode(chance.choice(paths).rpartition("/")[2])), ("160000", b"1" * 40)
        files[chance.choice(("docs/link.md", "sub", "mkdocs.yml", "docs/PRD-a.md"))] = chance.choice(odd)
    for path in [path for path in files if any(one.startswith(path + "/") for one in files)]:
        del files[path]  # no index holds a file and what is below it
    files.setdefault("src/a.py", ("100644", b"x = 1\n"))


def keep_elsewhere(world: World, chance: random.Random) -> None:
    """A file of which git holds a pointer alone."""
    path = chance.choice((LOCK, LOCK, LIST, chance.choice(sorted(world.files))))
    mode, content = world.files.get(path) or ("100644", lock(chance) if path == LOCK else b"{}")
    if mode == "100644":
        name = hashlib.sha256(content).hexdigest()
        os.makedirs(folder := os.path.join(world.root, STORE, name[:2], name[2:4]), exist_ok=True)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)
        named = f"version https://git-lfs.github.com/spec/v1\noid sha256:{name}\nsize {len(content)}\n"
        world.files[path] = (mode, named.encode())


def lock(chance: random.Random) -> bytes:
    paths = {f".runs/{chance.choice(('x', 'y'))}/cli/{chance.choice(('x', 'y'))}/manifest.json" for _ in range(3)}
    return locks.render(locks.Pinned(path, "a" * 64, chance.randrange(9), locks.RunFacts()) for path in paths)


def document(chance: random.Random) -> bytes:
    title = chance.choice(("PRD", "TECH_SPEC", "Task Checklist", "Action Plan"))
    name = chance.choice(SLUGS)
    named = chance.choice(("", " 0101", f" (Task 0101-{name})", f" {name}"))
    front = f"---\ntask_id: 0102-{name}\nrelates_to: docs/PRD-{name}.md\n---\n" if chance.random() < 0.2 else ""
    bodies = "\n".join(chance.sample(BODIES, chance.randrange(1, 4))).replace("{}", chance.choice(SLUGS))
    return f"{front}# {title} —{named}\n\n{bodies}".encode()


def task_list(content: bytes, chance: random.Random) -> bytes:
    try:
        tasks: list[Any] = json.loads(content)["items"]
    except (ValueError, KeyError, TypeError):
        tasks = []
    for _ in range(chance.choice((1, 1, 3))):
        slug, at = chance.choice(SLUGS), chance.randrange(len(tasks) + 1)
        paths = {kind: chance.choice(KINDS).format(chance.choice(SLUGS)) for kind in chance.sample(("a", "b", "c"), 2)}
        task = {"id": chance.choice(IDS) + slug, "slug": slug, "status": chance.choice(STATUSES), "paths": paths}
        task["title"] = chance.choice(TITLES)
        if chance.random() < 0.6:
            tasks.insert(at, task)
        else:
            tasks[at : at + 1] = [task] if chance.random() < 0.7 else []
    made = json.dumps({"items": tasks}, indent=chance.choice((2, 2, 2, None)), ensure_ascii=chance.random() < 0.1)
    made = made if chance.random() < 0.95 else made[: chance.randrange(len(made))]
    return encoded(made.encode("utf-8", "surrogateescape"), chance) if chance.random() < 0.15 else made.encode()


def encoded(content: bytes, chance: random.Random) -> bytes:
    """The same in other bytes, or nearly."""
    lines = content.replace(b"\r\n", b"\n")
    return chance.choice(
        (
            lines.replace(b"\n", b"\r\n"),
            lines.replace(b"\n", b"\r"),
            b"\xef\xbb\xbf" + content,
            content.replace(b"s", b"\xff", 1),
            content + b"\0\n",
            content.replace(b'"id"', b'"slug": "a", "id"', 1),
            content.replace(b"}", b"},", 1),
            content.replace(b"{", b'{"items": [],', 1),
            content.rstrip(),
        )
    )


# -- How it is judged ---------------------------------------------------------------------------------


def compare(root: str, chance: random.Random) -> None:
    """Raises Violation where what is kept changes what is said."""
    day = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC) + datetime.timedelta(days=chance.randrange(60))
    environ = {name: value for name, value in os.environ.items() if name not in (*cache.CI, cache.VARIABLE)}
    strict = chance.random() < 0.3
    fresh, listed, kept = (
        said(root, day, {**environ, **more}, strict=strict, listed=listed)
        for more, listed in (({cache.VARIABLE: "1"}, False), ({cache.VARIABLE: "1"}, True), ({}, False))
    )
    if not fresh == listed == kept:
        raise Violation(f"fresh {fresh}\nlisted {listed}\nkept {kept}")


def said(root: str, day: datetime.datetime, environ: Mapping[str, str], *, strict: bool, listed: bool) -> str:
    """What the program would print as JSON, without what it took."""
    repository = open_repository(root, environ)
    try:
        ctx = session.context(repository, ScopeTarget("staged", None), environ)._replace(judged_at=day.timestamp())
        report = session.judge(as_listed(ctx) if listed else ctx, strict=strict)
    except OrchgateError as error:
        return f"{error.message} {error.hint}"
    finally:
        repository.close()
    stream = io.StringIO()
    json_output.render(report, stream)
    shown = json.loads(stream.getvalue())
    for check in shown["checks"]:
        check.pop("seconds", None)
        if check.get("crash"):
            raise Violation(f"it crashed: {check['crash']}")
    return json.dumps(shown)


def as_listed(ctx: Context) -> Context:
    """The same of trees that are listed whole."""
    repository = ctx.repository
    assert repository is not None
    base = repository.tree(ctx.scope.base) if ctx.scope.base else repository.nothing
    return ctx._replace(snapshot=repository.index, base=base, documents=ParsedDocuments(repository.index))
