"""Random repositories and edits: three ways to count the same lines agree."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.counting import by_unidiff, facts, numstat
from tests.repo import Repo, init

TEXT = st.lists(st.sampled_from([b"a", b"b", b"c", b"", b"\x0c", b"\r", b"- x", b"+ y", b"@@ -1 +1 @@"]), max_size=12)
CONTENT = st.one_of(
    st.builds(lambda lines, end: b"\n".join(lines) + end, TEXT, st.sampled_from([b"", b"\n", b"\r\n"])),
    st.binary(max_size=20),
)
NAME = st.one_of(
    st.sampled_from(
        [b"a", b"b", b"d/a", b"d/b b/c", b'q"', b"n\nl", b"t\tt", b"\\", b"-x", b":x", b"\xff", "ü".encode()]
    ),
    st.text("ab/ \n\t\"'\\é", min_size=1, max_size=6).map(str.encode),
).filter(lambda name: all(part not in (b"", b".", b"..", b".git") for part in name.split(b"/")))
MODE = st.sampled_from([b"100644", b"100755", b"120000", b"160000"])


class File(NamedTuple):
    mode: bytes
    content: bytes


Tree = dict[bytes, File]
TREE = st.dictionaries(NAME, st.builds(File, MODE, CONTENT), max_size=6)


@st.composite
def edits(draw: st.DrawFn) -> tuple[Tree, Tree]:
    """A tree and what became of it: files removed, renamed, edited, given another mode, and new ones."""
    before = draw(TREE)
    after: Tree = {}
    for name, file in before.items():
        fate = draw(st.sampled_from(["keep", "remove", "rename", "edit", "mode", "both"]))
        if fate == "remove":
            continue
        target = draw(NAME) if fate in ("rename", "both") else name
        content = file.content + draw(CONTENT) if fate in ("edit", "both") else file.content
        after[target] = File(draw(MODE) if fate == "mode" else file.mode, content)
    return before, {**after, **draw(st.dictionaries(NAME, st.builds(File, MODE, CONTENT), max_size=2))}


def possible(tree: Tree) -> Tree:
    """Without files that are folders of others: no tree can hold both."""
    return {name: file for name, file in tree.items() if not any(other.startswith(name + b"/") for other in tree)}


def stage(repo: Repo, tree: Tree) -> None:
    """Fills the index with exactly a tree, past the work tree, whose file system may refuse a name."""
    contents = [file.content for file in tree.values()]
    oids = [hash_object(repo, content) for content in contents]
    repo.git("read-tree", "--empty")
    records = [
        b"%s %s\t%s" % (file.mode, b"1" * 40 if file.mode == b"160000" and not file.content else oid, name)
        for (name, file), oid in zip(tree.items(), oids, strict=True)
    ]
    repo.git("update-index", "-z", "--index-info", stdin=b"".join(record + b"\0" for record in records))


def hash_object(repo: Repo, content: bytes) -> bytes:
    return subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=repo.root, input=content, capture_output=True, check=True
    ).stdout.strip()


@pytest.fixture(autouse=True)
def _back_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path.cwd())  # undone after the test, wherever an example has gone


@pytest.mark.slow
@settings(
    max_examples=25,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(edits())
def test_facts_unidiff_and_numstat_agree(trees: tuple[Tree, Tree]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repo = init(Path(folder) / "repo")
        os.chdir(repo.root)
        stage(repo, possible(trees[0]))
        repo.commit()
        stage(repo, possible(trees[1]))
        expected = numstat(repo)
        counted, shown = by_unidiff("HEAD")

        assert (facts(), counted) == (expected, shown)


def without_modules(tree: Tree) -> Tree:
    """Files only, and without carriage returns: git overlooks those in text when it looks for renames, so that hiding a
    file can pair it with another one.
    """
    files = {name: file for name, file in possible(tree).items() if file.mode != b"160000"}
    return {name: file._replace(content=file.content.replace(b"\r", b"")) for name, file in files.items()}


@pytest.mark.slow
@settings(
    max_examples=10,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(edits())
def test_hiding_every_file_changes_no_count(trees: tuple[Tree, Tree]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repo = init(Path(folder) / "repo")
        os.chdir(repo.root)
        stage(repo, without_modules(trees[0]))
        repo.commit()
        stage(repo, without_modules(trees[1]))
        ordinary = {path for path in numstat(repo) if path not in type_changes(repo)}
        expected = {path: counts for path, counts in numstat(repo).items() if path in ordinary}
        (repo.root / ".git" / "info").mkdir(exist_ok=True)
        (repo.root / ".git" / "info" / "attributes").write_text("* -diff\n")

        assert {path: counts for path, counts in facts().items() if path in ordinary} == expected


def type_changes(repo: Repo) -> set[str]:
    """A hidden type change is counted from git's patch, a removal and an addition, not an edit."""
    return set(repo.git("diff", "--cached", "--name-only", "--diff-filter=T", "-z").split("\0"))
