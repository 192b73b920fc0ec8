"""Clones of one remote that record runs by the real program, and segments that somebody else may have written."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.history.git_store import HISTORY
from tests.repo import Repo, clone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

TASK = "0001-demo"
# What the runner takes for another class of machines: a container.
OTHER_MACHINE = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
CONFIG = """
[pipelines.demo]
[[pipelines.demo.stages]]
id = "build"
shell = "true"
[[pipelines.demo.stages]]
id = "test"
shell = "true"
[pipelines.broken]
[[pipelines.broken.stages]]
id = "build"
shell = "false"
"""


class Clones(NamedTuple):
    """A bare remote and clones of it."""

    remote: Repo
    one: Repo
    other: Repo
    third: Repo


def clones(seed: Repo, folder: Path) -> Clones:
    seed.commit("start", {"orchgate.toml": CONFIG, ".gitignore": "/.runs/\n/out/\n"})
    remote = clone(seed, folder / "remote.git", "--bare")
    return Clones(remote, *(clone(remote, folder / name) for name in ("one", "other", "third")))


def record(repo: Repo, pipeline: str = "demo", times: int = 1, env: Mapping[str, str] | None = None) -> None:
    """Runs a pipeline by the real program."""
    for _ in range(times):
        ran = repo.orchgate("run", pipeline, "--task", TASK, env=env)
        assert ran.code == (1 if pipeline == "broken" else 0), ran.out


def told(repo: Repo, *words: str, code: int = 0) -> dict[str, Any]:
    """What `orchgate history …` prints as JSON, where it ends as expected."""
    ended = repo.attempt(*_program(), "history", *words, "--output-format", "json")
    assert ended.code == code, ended.out
    found: dict[str, Any] = json.loads(ended.out[ended.out.index("{") :])
    return found


def _program() -> tuple[str, ...]:
    from tests.repo import ORCHGATE

    return (ORCHGATE,)


def show(repo: Repo, by: str = "pipeline", *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = told(repo, "show", "--by", by, *words)["rows"]
    return rows


def names(repo: Repo) -> list[str]:
    """The segments under the reference of a repository."""
    listed = repo.git("for-each-ref", "--format=%(objectname)", HISTORY.ref)
    return repo.git("ls-tree", "-r", "--name-only", listed).splitlines() if listed else []


def line(run: int = 0, **fields: Any) -> dict[str, Any]:
    """An entry as `orchgate run` writes it."""
    known = {
        "entry": 1,
        "run_id": f"2026-03-{1 + run // 3600 % 28:02d}T10-{run // 60 % 60:02d}-{run % 60:02d}-000Z-{run:08x}",
        "task_id": TASK,
        "pipeline_id": "demo",
        "status": "succeeded",
        "started_at": f"2026-03-{1 + run // 3600 % 28:02d}T10:{run // 60 % 60:02d}:{run % 60:02d}.000Z",
        "completed_at": f"2026-03-{1 + run // 3600 % 28:02d}T10:{run // 60 % 60:02d}:{run % 60:02d}.500Z",
        "commit": "c" * 40,
        "tree": "d" * 40,
        "machine": "0123456789abcdef",
        "wall_seconds": 0.5,
        "user_seconds": 0.3,
        "system_seconds": 0.1,
        "max_rss_bytes": 12_000_000,
        "stages": [{"id": "build", "status": "succeeded", "wall_seconds": 0.5}],
    }
    return {**known, **fields}


def write_lines(repo: Repo, lines: Iterable[Mapping[str, Any] | bytes], task: str = TASK) -> None:
    encoded = (one if isinstance(one, bytes) else json.dumps(one, separators=(",", ":")).encode() for one in lines)
    repo.write(f".runs/{task}/metrics.json", b"".join(one + b"\n" for one in encoded))


def plant(repo: Repo, segments: Mapping[str, bytes]) -> None:
    """Lets the reference of a repository name a commit that holds, beside what it holds, files of any name."""
    held = {}
    if listed := repo.git("for-each-ref", "--format=%(objectname)", HISTORY.ref):
        for one in repo.git("ls-tree", "-r", listed).splitlines():
            head, name = one.split("\t", 1)
            held[name] = head.split()[2]
    for name, content in segments.items():
        held[name] = repo.git("hash-object", "-w", "--stdin", stdin=content)
    tree = _tree(repo, held)
    parent = ("-p", listed) if listed else ()
    repo.git("update-ref", HISTORY.ref, repo.git("commit-tree", *parent, "-m", "x", tree))


def _tree(repo: Repo, files: Mapping[str, str]) -> str:
    entries = [f"100644 blob {oid}\t{name}" for name, oid in files.items() if "/" not in name]
    below: dict[str, dict[str, str]] = {}
    for name, oid in files.items():
        folder, slash, rest = name.partition("/")
        if slash:
            below.setdefault(folder, {})[rest] = oid
    entries += [f"040000 tree {_tree(repo, inner)}\t{folder}" for folder, inner in below.items()]
    return repo.git("mktree", "-z", stdin="".join(f"{one}\0" for one in entries).encode())


def named(content: bytes, month: str = "2026-03", repository: str = "remote", start: str = "0123456789abcdef-x") -> str:
    """A name that says the right SHA-256."""
    return f"v1/repo={repository}/month={month}/{start}-{hashlib.sha256(content).hexdigest()}.jsonl"
