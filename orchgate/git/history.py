"""Questions about history: where two lines parted, the commits between two of them, and who makes them."""

from __future__ import annotations

import os

from orchgate.errors import GitError, UsageError
from orchgate.git.call import DIFF_PINNED, failed
from orchgate.git.objects import parse
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.git.repository import Repository
    from orchgate.model import Change


NAME_IT = "orchgate check --base BASE"
CUT = "this is a shallow clone (in GitHub Actions: fetch-depth: 0 for actions/checkout)"
MOST_BASES = 16  # bases that a change is compared with; beyond, it is counted as larger than it is
_ASKED = 500  # commits on one command line


class ChangeBase(NamedTuple):
    """The bases of a change and where they come from.

    Several where what it left was merged more than once: then a path counts that differs from all of them. None for
    a first push. `settled` says why there is nothing to judge.
    """

    bases: tuple[str, ...]
    origin: str
    settled: str = ""


def merge_bases(repository: Repository, head: str, known: Sequence[str]) -> tuple[str, ...]:
    """The best common ancestors of a commit and of all that is known; none for unrelated histories.

    `known` are commit ids and options of `git rev-list`. The commit itself is the answer when it adds nothing.
    """
    output = repository.git("rev-list", "--boundary", head, "--not", *known, "--").decode("ascii").split()
    if not output:
        return (head,)
    edge = [oid[1:] for oid in output if oid.startswith("-")]
    if len(edge) < 2:
        return tuple(edge)
    independent = repository.git("merge-base", "--independent", *edge[:_ASKED])
    return tuple(independent.decode("ascii").split()[:MOST_BASES])


def connected_bases(repository: Repository, head: str, tips: Sequence[str]) -> tuple[str, ...]:
    """As `left`, of commits that must have something in common with the head. Raises GitError."""
    found = merge_bases(repository, head, tips)
    if not found:
        raise no_common_ancestor(repository, tips[0], head)
    return found


def no_common_ancestor(repository: Repository, one: str, other: str) -> GitError:
    """Why two commits have no common ancestor here."""
    if repository.shallow:
        return GitError(f"the common ancestor of {one[:12]} and {other[:12]} is cut off: {CUT}", repository.deepen)
    return GitError(f"{one[:12]} and {other[:12]} have no common ancestor: unrelated histories", NAME_IT)


_LONGEST_AUTHOR = 200


def commits_between(repository: Repository, old: str, new: str) -> int | None:
    """Commits that `new` has and `old` has not, both hex ids; None when one of them is not here."""
    completed = repository.git.attempt("rev-list", "--count", f"{old}..{new}", "--")
    output = completed.stdout.decode("ascii", "replace").strip()
    return int(output) if completed.code == 0 and output.isdigit() else None


class NewCommit(NamedTuple):
    """A commit that no remote has yet. Ancestors have a lower `place` than their descendants.

    Commits of different lines have nothing in common but what a remote has.
    """

    place: int
    line: str


def new_commits(repository: Repository, commits: list[str]) -> dict[str, NewCommit]:
    """Those of some commits that no remote has yet. Raises GitError."""
    wanted = set(commits)
    if not wanted:
        return {}
    asked = "".join(f"{commit}\n" for commit in sorted(wanted)).encode("ascii")
    options = ("--parents", "--topo-order", "--reverse", "--stdin", "--not", "--remotes")
    output = repository.git("rev-list", *options, input=asked).decode("ascii")
    joined: dict[str, str] = {}  # a later commit of the same line, the last one itself

    def last(commit: str) -> str:
        while joined[commit] != commit:
            joined[commit] = joined[joined[commit]]
            commit = joined[commit]
        return commit

    for oid, *parents in map(str.split, output.splitlines()):
        joined[oid] = oid
        for parent in parents:
            if parent in joined:
                joined[last(parent)] = oid
    return {oid: NewCommit(place, last(oid)) for place, oid in enumerate(joined) if oid in wanted}


def author(repository: Repository) -> str:
    """`Name <address>` of whoever works here, on one line; "unknown" when git has not been told."""
    completed = repository.git.attempt("var", "GIT_AUTHOR_IDENT")
    output = completed.stdout.decode("utf-8", "replace").strip()
    name = output[: output.rfind(">") + 1] if completed.code == 0 else ""
    shown = "".join(character if character.isprintable() else "?" for character in " ".join(name.split()))
    return shown[:_LONGEST_AUTHOR].strip() or "unknown"


def first_parents(repository: Repository, commit: str, most: int) -> list[str]:
    """Hex ids of the trees of a commit, its first parent, that one's first parent and so on. Raises GitError."""
    options = (
        "--first-parent",
        f"--max-count={most}",
        "--format=%T",
        "--no-show-signature",
        "--no-color",
        "--no-notes",
    )
    return repository.git("log", *options, commit, "--").decode("ascii", "replace").split()


_PLAIN = ("--no-show-signature", "--encoding=UTF-8", "--no-color")  # whatever the user's settings say
_LONGEST_SUBJECT = 200  # characters of a subject


class LineCommit(NamedTuple):
    """A commit of a line, as hex ids."""

    oid: str
    tree: str
    parents: tuple[str, ...]


def first_parent_line(repository: Repository, good: str, bad: str) -> tuple[LineCommit, ...]:
    """The commits from `good` to `bad`, hex ids, both among them.

    Raises UsageError where they are the same, or `good` is not on the line of first parents that ends in `bad`.
    """
    if good == bad:
        raise UsageError(f"good and bad are the same commit, {good[:12]}", "--bad HEAD --good the last fast release")
    if repository.git.attempt("merge-base", "--is-ancestor", good, bad).code != 0:
        raise _apart(repository, good, bad)
    shape = "--format=%H %T %P"
    listed = repository.git("log", *_PLAIN, "--first-parent", "--reverse", shape, f"{good}..{bad}", "--").decode(
        "ascii"
    )
    line = [LineCommit(oid, tree, tuple(parents)) for oid, tree, *parents in map(str.split, listed.splitlines())]
    parent = line[0].parents[0] if line[0].parents else ""
    if parent != good:
        if repository.shallow and not parent:
            raise GitError(f"the commits between {good[:12]} and {bad[:12]} are cut off: {CUT}", repository.deepen)
        hint = f"--good {parent[:12]} is the last commit of that line before {good[:12]}" if parent else ""
        raise UsageError(
            f"good, {good[:12]}, came into {bad[:12]} by a merge: it is not on its first-parent line", hint
        )
    tree = repository.git("rev-parse", "--verify", good + "^{tree}").decode("ascii").strip()
    return (LineCommit(good, tree, ()), *line)


def _apart(repository: Repository, good: str, bad: str) -> UsageError | GitError:
    if repository.git.attempt("merge-base", "--is-ancestor", bad, good).code == 0:
        return UsageError(
            f"good, {good[:12]}, comes after bad, {bad[:12]}: are they the wrong way round?",
            f"--good {bad[:12]} --bad {good[:12]}",
        )
    if repository.shallow:
        return GitError(f"{good[:12]} is not known to be an ancestor of {bad[:12]}: {CUT}", repository.deepen)
    found = repository.git.attempt("merge-base", good, bad)
    base = found.stdout.decode("ascii", "replace").strip()[:12] if found.code == 0 else ""
    hint = f"--good {base} is where they parted" if base else "name two commits of one branch"
    return UsageError(f"good, {good[:12]}, is not an ancestor of bad, {bad[:12]}", hint)


def subjects(repository: Repository, commits: Sequence[str]) -> dict[str, str]:
    """The first line of each commit's message, by hex id, as it was written: not to be trusted. Raises GitError."""
    if not commits:
        return {}
    asked = "".join(f"{commit}\n" for commit in commits).encode("ascii")
    output = repository.git("log", *_PLAIN, "--no-walk=unsorted", "--stdin", "-z", "--format=%H %s", input=asked)
    lines = (os.fsdecode(line) for line in output.split(b"\0") if line)
    return {oid: subject[:_LONGEST_SUBJECT] for oid, _, subject in (line.partition(" ") for line in lines)}


def merged_commits(repository: Repository, merge: LineCommit) -> tuple[int, tuple[str, ...]]:
    """How many commits a merge brought, and the ends of the line that they lie on; 0 and none where it is no merge."""
    if len(merge.parents) < 2:
        return 0, ()
    ours, theirs = merge.parents[:2]
    listed = repository.git.attempt("rev-list", "--count", f"{ours}..{theirs}", "--")
    count = listed.stdout.decode("ascii", "replace").strip()
    base = repository.git.attempt("merge-base", ours, theirs).stdout.decode("ascii", "replace").split()
    return int(count) if listed.code == 0 and count.isdigit() else 0, (base[0], theirs) if base else ()


def recent_changes(repository: Repository, most: int, seconds: float) -> tuple[tuple[Change, ...], ...]:
    """What each of the last commits of HEAD's first-parent line changed, newest first; a root commit is not among them.

    As many as can be read in that time. Raises GitError.
    """
    options = (*_PLAIN, "--no-notes", "--first-parent", "-m", f"--max-count={most}", "--format=tformat:commit %H %P")
    asked = ("log", *options, *DIFF_PINNED, "--raw", "--no-abbrev", "--numstat", "-z", "HEAD", "--")
    completed = repository.git.attempt(*asked, timeout=seconds)
    if completed.code != 0 and not completed.timed_out:
        raise failed(asked, completed.stderr)
    records = list(_records(completed.stdout))
    if completed.timed_out:
        del records[-1:]  # cut anywhere
    return tuple(parse(b"\0".join(fields)) for parents, fields in records if parents)


def _records(output: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """The number of parents of each commit, and the fields of its diff."""
    fields = iter(output.split(b"\0"))
    parents, own = 0, list[bytes]()
    for field in fields:
        line = field.removeprefix(b"\n")
        if line.startswith(b":"):
            own += [line, next(fields, b""), *([next(fields, b"")] if line.split(b" ")[4][:1] in b"RC" else [])]
        elif b"\t" in line:
            own += [line, *([next(fields, b""), next(fields, b"")] if line.endswith(b"\t") else [])]
        elif line.startswith(b"commit "):
            if own or parents:
                yield parents, own
            parents, own = len(line.split()) - 2, []
    if own or parents:
        yield parents, own
