"""A repository that changes at random, and what is said of it: from what was kept, and anew."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from fuzz.worker import HERMETIC

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

ENVIRON = {"PATH": os.environ.get("PATH", ""), **HERMETIC}
NOW = datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.UTC)
RUN = "2026-01-06T09-26-22-129Z-c2f9cb47"
SLUGS = ("slim", "fast", "slim-again")
DOCUMENTS = (
    *(f"docs/{kind}-{slug}.md" for kind in ("PRD", "TECH_SPEC", "ACTION_PLAN") for slug in SLUGS),
    *(f"tasks/tasks-000{number}-{slug}.md" for number, slug in enumerate(SLUGS, 1)),
    *("docs/guide.md", "docs/Guide.md", "docs/deep/er/notes.md", "README.md", "site/docs/index.mdx", "site/docs/a.md"),
    *("plans/slim/PRD.md", "plans/fast/PRD.md"),
)
FILES = ("src/a.py", "src/b/c.py", "docs/data.txt", "package.json", "site/mkdocs.yml", "docs/_config.yml", "Makefile")
TASKS = tuple(f"000{number}-{slug}" for number, slug in enumerate(SLUGS, 1))
ARTIFACTS = (
    *(f".runs/{task}/cli/{RUN}/{name}" for task in TASKS[:2] for name in ("manifest.json", "events.jsonl", "log.txt")),
    *("out/0001-slim/state.json", "out/report.txt", ".runs/0001-slim/metrics.json"),
)
STATUSES = ("succeeded", "failed", "in_progress")
OTHER = "../other.toml"  # a configuration beside the repository
TABLES = (
    ('profile = "codex-orchestrator"\n', 'exclude = ["docs/deep/**"]\n', 'default-branch = "work"\n'),
    ('[severity]\nEVD001 = "warning"\nDOC003 = "off"\n', '[severity]\nEVD = "note"\n', '[severity]\nDOC = "error"\n'),
    (
        '[evidence]\nexclude = ["docs/deep/**"]\nroots = [".runs", "out"]\nlink-roots = ["site/docs"]\n',
        '[evidence]\nroots = ["out"]\n',
        '[evidence]\nroots = ["src"]\nlink-roots = ["docs"]\n',
        '[evidence]\ndocuments = ["**/*.md"]\n',
        '[evidence]\nrequired-runs = ["build"]\n[pipelines.build]\nstages = [{ id = "a", run = ["true"] }]\n',
    ),
    (
        '[documents]\nuntil-finished = "note"\n',
        '[documents]\ntask-index = "tasks/others.json"\n',
        '[documents]\ntask-index = ""\nexclude = ["docs/*fast*"]\n',
        '[documents]\nrequired = ["prd"]\npaths.prd = "plans/{slug}/PRD.md"\n',
        '[documents]\npaths.prd = ["docs/PRD-{slug}.md", "plans/{slug}/PRD.md"]\npaths.checklist = "docs/{task}.md"\n',
    ),
    ("[review]\nmax-age-days = 30\n", "[review]\nmax-age-days = 400\n"),
    (
        '[[ignore]]\npaths = ["docs/guide.md"]\nrules = ["EVD001"]\nreason = "it is old"\n',
        '[[ignore]]\npaths = ["docs/**"]\nrules = ["DOC"]\nreason = "they are old"\n',
    ),
    ('[commands]\nallow = ["npm run *"]\n', "[broken\n", "[diff-budget]\nmax-lines = 5\n", "[later]\nkey = 1\n"),
)


class ChangingTree:
    """One repository in an empty folder, and the chance that changes it."""

    def __init__(self, folder: str, chance: random.Random) -> None:
        self.root = os.path.join(folder, "one")
        self.beside = os.path.join(folder, "two")  # another work tree, which shares what is kept
        os.mkdir(self.root)
        self.chance = chance
        self.now = NOW
        self.environ = dict(ENVIRON)
        self.variables: dict[str, str] = {}  # of the environment, which a judgement reads
        self.identity = b"one"
        self.many = chance.choice((1, 10**9, 10**9))  # files of a tree that two processes judge
        self.size = chance.choice((1, 1, 3, 16))  # documents of a part
        self.git("init", "--quiet", "--initial-branch=main", "--template=")
        self.write(".gitignore", b".runs/\nout/\n")
        self.git("config", "maintenance.auto", "false")
        for _ in range(14):
            self.put(*self._drawn())
        self.git("add", "--force", "--all")
        self._tasks()
        self._commit()

    def compare(self) -> None:
        """Raises Violation where what was kept says anything else than a judgement anew."""
        from fuzz.said_of_tree import compare

        places = [self.root, *([self.beside] if os.path.isdir(self.beside) else [])]
        for place in self.chance.sample(places, len(places)):
            compare(self, place)

    # -- What changes ------------------------------------------------------------------------------------

    def change(self) -> None:
        """A few changes of any kind."""
        from fuzz import odd_changes

        ways = (*WAYS, *odd_changes.WAYS)
        for _ in range(self.chance.choice((1, 1, 1, 2, 4))):
            ((way, _),) = self.chance.choices(ways, [weight for _, weight in ways])
            with contextlib.suppress(OSError, IndexError):  # there is nothing to change in this way
                way(self)

    def _document(self) -> None:
        self.write(*self._drawn())

    def _drawn(self) -> tuple[str, bytes]:
        path = self.chance.choice(DOCUMENTS)
        return path, "".join(self._lines(path)).encode()

    def _lines(self, path: str) -> Iterator[str]:
        chance = self.chance
        if chance.random() < 0.3:
            yield f"---\nlast_review: 2026-0{chance.randrange(1, 4)}-11\nrelates_to: {chance.choice(DOCUMENTS)}\n---\n"
        yield f"# {path.rpartition('/')[2].split('-')[0]} - {chance.choice(TASKS)}\n\n"
        if chance.random() < 0.2:
            yield f"Status: {chance.choice(('done', 'draft', 'in progress'))}\n\n"
        for heading in chance.sample(("Summary", "Goals", "Non-Goals", "Progress", "Concrete Steps", "Approvals"), 3):
            yield f"## {heading}\n\n"
            for _ in range(chance.randrange(4)):
                yield self._line()

    def _line(self) -> str:
        chance = self.chance
        target, artifact = chance.choice((*DOCUMENTS, *FILES)), chance.choice(ARTIFACTS)
        name = target.rpartition("/")[2]
        return chance.choice(
            (
                f"[there](/{target}#{chance.choice(('summary', 'goals', 'none'))})\n",
                f"[beside]({name}) and [route](/a) and [up](../{target})\n",
                f"`{target}` and `{target}:{chance.choice((1, 3, 30))}`\n",
                f"- [{chance.choice('x ')}] done - Evidence: `{artifact}`\n",
                f"- Manifest: `{artifact}`\n",
                f"- [x] built, {chance.choice(('passes', 'it failed'))}: `{chance.choice(ARTIFACTS[:6])}`\n",
                f"- [x] {chance.choice(('tests pass', 'drafted', 'measured'))}\n",
                f"Evidence: `{artifact.rpartition('/')[0]}/*.json` and `docs/*/{name}`\n",
                "- Evidence: `.runs/<task>/cli/<run-id>/manifest.json`\n",
                f"<!-- orchgate: ignore[{chance.choice(('EVD001', 'EVD013'))}] {chance.choice(('old', ''))} -->\n",
                f"- [link](#{chance.choice(('goals', 'nowhere'))}) TBD\n",
                "```sh\nnpm run build\nmake all\n```\n",
                f"- Task: {chance.choice(TASKS)}\n- Primary PRD: `{chance.choice(DOCUMENTS)}`\n",
                "words\n",
            )
        )

    def _edit(self) -> None:
        path = self._some()
        with open(os.path.join(self.root, path), "r+b") as file:
            lines = file.read().splitlines(keepends=True)
            lines[self.chance.randrange(len(lines) + 1) :][:1] = [self._line().encode()]
            at = self.chance.randrange(len(lines) + 1)
            lines[at : at + self.chance.randrange(2)] = [self._line().encode()]
        self.write(path, b"".join(lines))

    def _some(self) -> str:
        listed = self.git("ls-files", "-z").split("\0")[:-1]
        return self.chance.choice([path for path in listed if path.endswith((".md", ".mdx"))] or ["README.md"])

    def _other(self) -> None:
        path = self.chance.choice(FILES)
        contents = (b"x = 1\n" * self.chance.choice((1, 5)), b'{"scripts": {"build": "tsc"}}\n', b"all:\n\ttrue\n", b"")
        self.write(path, self.chance.choice(contents))

    def _delete(self) -> None:
        path = self._some() if self.chance.random() < 0.7 else self.chance.choice((*FILES, "docs", "site", "src"))
        self.git("rm", "-r", "-q", "--cached", "--ignore-unmatch", path)
        self.remove(path)

    def _rename(self) -> None:
        old, new = self._some(), self.chance.choice(DOCUMENTS)
        if old != new:
            with open(os.path.join(self.root, old), "rb") as file:
                content = file.read()
            self.git("rm", "-q", "--cached", "--ignore-unmatch", old)
            self.remove(old)
            self.write(new, content)

    def _link(self) -> None:
        path, aim = self.chance.choice(DOCUMENTS), self.chance.choice((*DOCUMENTS, "../outside.md", "src"))
        self.remove(path)
        os.makedirs(os.path.join(self.root, os.path.dirname(path)), exist_ok=True)
        os.symlink(os.path.relpath(aim, os.path.dirname(path) or "."), os.path.join(self.root, path))
        self.git("add", "-f", "--", path)

    def _mode(self) -> None:
        self.git("update-index", f"--chmod={self.chance.choice('+-')}x", self._some())

    def _tasks(self) -> None:
        chance = self.chance
        items = [
            {
                "id": task,
                "slug": task[5:],
                "status": chance.choice(("completed", "in-progress", "archived", "")),
                "path": chance.choice(DOCUMENTS),
                "paths": {"docs": chance.choice(DOCUMENTS)},
            }
            for task in chance.sample(TASKS, chance.randrange(4))
        ]
        content = json.dumps({"items": items}, indent=1) if chance.random() < 0.9 else "{"
        self.write(chance.choice(("tasks/index.json", "tasks/index.json", "tasks/others.json")), content.encode())

    def _configuration(self) -> None:
        tables = self.chance.sample(range(len(TABLES)), self.chance.choice((0, 1, 1, 2, 4)))
        text = "".join(self.chance.choice(TABLES[at]) for at in sorted(tables)).encode()
        if self.chance.random() < 0.2:
            self.put(OTHER, text)
            return
        self.write("orchgate.toml", text)
        if self.chance.random() < 0.3:
            self.git("rm", "-q", "--cached", "orchgate.toml")
            self.write("pyproject.toml", b'[tool.orchgate]\nprofile = "codex-orchestrator"\n')

    def _known(self) -> None:
        findings = [
            {"path": self.chance.choice(DOCUMENTS), "rule": rule, "about": about, "severity": "error"}
            for rule, about in (("EVD001", "/a"), ("EVD013", "#nowhere"), ("DOC001", "prd"))
        ]
        known = {"version": 1, "accepted": [{"reason": "old", "findings": findings}]}
        self.write(".orchgate/known.json", json.dumps(known).encode())

    def _lock(self) -> None:
        lines = ['{"evidence-lock": 1}']
        for path in sorted(self.chance.sample(ARTIFACTS, 4)):
            data = b"pinned\n"
            if self.chance.random() < 0.6:
                with contextlib.suppress(OSError), open(os.path.join(self.root, path), "rb") as file:
                    data = file.read()
            lines.append(json.dumps({"path": path, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}))
        self.write(".orchgate/evidence.lock", "\n".join(lines).encode() + b"\n")

    def _attributes(self) -> None:
        self.write(".gitattributes", self.chance.choice((b"*.md -diff\n", b"docs/** binary\n", b"")))

    def _artifact(self) -> None:
        path = self.chance.choice(ARTIFACTS)
        self.put(path, self.content(path))

    def content(self, path: str) -> bytes:
        if path.endswith("manifest.json"):
            task = self.chance.choice(TASKS)
            fields = {"task_id": task, "run_id": RUN, "pipeline_id": "build", "status": self.chance.choice(STATUSES)}
            return json.dumps(fields, indent=2).encode()
        return self.chance.choice((b"one\n", b"two\n", b"one\ntwo\nthree\nfour\n", b"{}"))

    def _rewritten(self) -> None:
        """The same size, the same file, and the time that it had."""
        path = os.path.join(self.root, self.chance.choice(ARTIFACTS))
        status = os.stat(path)
        with open(path, "r+b") as file:
            content = file.read()
            file.seek(0)
            file.write(content.replace(b"failed", b"FAILED").swapcase())
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _touched(self) -> None:
        os.utime(os.path.join(self.root, self.chance.choice(ARTIFACTS)))

    def _gone(self) -> None:
        path = self.chance.choice(ARTIFACTS)
        self.remove(self.chance.choice((path, os.path.dirname(path), path.partition("/")[0])))

    def _artifact_link(self) -> None:
        path, aim = self.chance.sample(ARTIFACTS, 2)
        place = os.path.join(self.root, path if self.chance.random() < 0.6 else os.path.dirname(path))
        aim = self.chance.choice((aim, "../../elsewhere", os.path.dirname(aim)))
        self.remove(os.path.relpath(place, self.root))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(os.path.relpath(os.path.join(self.root, aim), os.path.dirname(place)), place)

    def _unreadable(self) -> None:
        path = os.path.join(self.root, self.chance.choice(ARTIFACTS))
        os.chmod(path, self.chance.choice((0o000, 0o644)))

    def _day(self) -> None:
        self.now += datetime.timedelta(days=self.chance.choice((-1, 1, 20)))

    def _commit(self) -> None:
        trailer = self.chance.choice(("", "\n\nTask: 0001-slim\n"))
        self.git("commit", "--quiet", "--allow-empty", "--no-verify", "-m", f"change{trailer}")

    def _branch(self) -> None:
        self.git("symbolic-ref", "HEAD", f"refs/heads/{self.chance.choice(('main', 'work', '0001-slim'))}")

    def _base(self) -> None:
        commits = self.git("rev-list", "--all").split()
        self.git("update-ref", f"refs/heads/{self.chance.choice(('main', 'work'))}", self.chance.choice(commits))

    def _back(self) -> None:
        """To a tree that was there before; what is on disk beside it stays."""
        self.git("read-tree", self.chance.choice(self.git("rev-list", "--all").split()))
        self.git("checkout-index", "-a", "-f", "-q")

    def _code(self) -> None:
        self.identity = self.chance.choice((b"one", b"two"))

    # -- How ---------------------------------------------------------------------------------------------

    def git(self, *args: str) -> str:
        ended = subprocess.run(["git", *args], cwd=self.root, env=self.environ, capture_output=True, check=False)
        return os.fsdecode(ended.stdout)

    def write(self, path: str, content: bytes) -> None:
        self.put(path, content)
        self.git("add", "-f", "--", path)

    def put(self, path: str, content: bytes) -> None:
        place = os.path.join(self.root, path)
        if os.path.islink(place):
            os.unlink(place)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(content)

    def remove(self, path: str) -> None:
        place = os.path.join(self.root, path)
        if os.path.isdir(place) and not os.path.islink(place):
            shutil.rmtree(place, ignore_errors=True)
        elif os.path.lexists(place):
            os.unlink(place)


Way = tuple["Callable[[ChangingTree], None]", int]
WAYS: tuple[Way, ...] = (
    (ChangingTree._document, 6),
    (ChangingTree._edit, 10),
    (ChangingTree._other, 4),
    (ChangingTree._delete, 3),
    (ChangingTree._rename, 3),
    (ChangingTree._link, 2),
    (ChangingTree._mode, 1),
    (ChangingTree._tasks, 3),
    (ChangingTree._configuration, 3),
    (ChangingTree._known, 1),
    (ChangingTree._lock, 3),
    (ChangingTree._attributes, 1),
    (ChangingTree._artifact, 12),
    (ChangingTree._rewritten, 6),
    (ChangingTree._touched, 3),
    (ChangingTree._gone, 4),
    (ChangingTree._artifact_link, 4),
    (ChangingTree._unreadable, 1),
    (ChangingTree._day, 4),
    (ChangingTree._commit, 5),
    (ChangingTree._branch, 3),
    (ChangingTree._base, 2),
    (ChangingTree._back, 6),
    (ChangingTree._code, 1),
)
