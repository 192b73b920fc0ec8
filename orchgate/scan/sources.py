"""What is scanned: the commits of a range, oldest first, or the repositories of a list."""

from __future__ import annotations

import codecs
import os

from orchgate.errors import GitError, UsageError
from orchgate.lib import files
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.scan import clones
from orchgate.scan.values import COMMIT, REPOSITORY, UnitSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchgate.git.repository import Repository

RANGE = "REV..REV"
_MAX_LIST = 64 * 1024 * 1024  # bytes of a list of repositories
_LONGEST = 4096  # characters of one of its lines


class ScanSource(NamedTuple):
    """Units in their order, as often as they are asked for; how many there are, and what tells this from others."""

    units: Callable[[], Iterator[UnitSpec]]
    size: Callable[[], int]
    identity: Mapping[str, object]


def commits(repository: Repository, text: str, *, first_parent: bool) -> ScanSource:
    """Every commit of a range, parents before their children. Raises UsageError, GitError."""
    base, head = _ends(repository, text)
    folder = repository.git_dir
    options = ("--first-parent",) if first_parent else ()
    identity = {"base": base, "head": head, "first_parent": first_parent}

    def units() -> Iterator[UnitSpec]:
        return (UnitSpec(oid, COMMIT, folder, oid) for oid in _walk(folder, base, head, options))

    def size() -> int:
        from orchgate.git.history import commits_between

        return (commits_between(repository, base, head) if base and not options else None) or sum(
            1 for _ in _walk(folder, base, head, options)
        )

    return ScanSource(units, size, identity)


def _ends(repository: Repository, text: str) -> tuple[str, str]:
    """The hex ids of a range's ends; the first one is "" for a whole history."""
    first, dots, last = text.partition("..")
    if not text or last.startswith(".") or ".." in last:
        raise UsageError(f"expected {RANGE}, not {text[:80]!r}", f"orchgate scan {RANGE}")
    if not dots:
        return "", repository.require_commit(first)
    return repository.require_commit(first or "HEAD"), repository.require_commit(last or "HEAD")


def _walk(folder: str, base: str, head: str, options: tuple[str, ...]) -> Iterator[str]:
    """The commits of `base..head`, both hex ids, oldest first; they are read as git names them. Raises GitError."""
    from git import Git
    from git.exc import GitError as GitPythonError

    sides = (head, f"^{base}") if base else (head,)
    # Not its Repo: that reads the repository's configuration, which a stranger may have written.
    walker = Git(folder)
    walker.update_environment(GIT_DIR=folder, GIT_NO_REPLACE_OBJECTS="1", GIT_NO_LAZY_FETCH="1")
    try:
        walk = walker.rev_list("--reverse", "--topo-order", *options, *sides, "--", as_process=True)
    except GitPythonError as error:
        raise GitError(f"the commits cannot be listed: {error}") from error
    with walk.proc as process:
        try:
            for line in process.stdout:
                yield line.decode("ascii").strip()
            said = process.stderr.read()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        from orchgate.git.call import failed

        raise failed(("rev-list",), said)


def repositories(path: str) -> ScanSource:
    """The repositories of a list. Raises UsageError for one that cannot be read, or names none."""
    try:
        content = files.read(path, _MAX_LIST)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    content = content.removeprefix(codecs.BOM_UTF8)
    listed = list(_listed(content.decode("utf-8", "surrogateescape"), os.path.dirname(os.path.abspath(path))))
    if not listed:
        raise UsageError(f"{path} names no repository", "a URL or a path on each line; # begins a comment")
    told = repr([tuple(one) for one in listed])
    identity = {"repositories": sha256_hex(told.encode("utf-8", "surrogateescape"))}
    return ScanSource(lambda: iter(listed), lambda: len(listed), identity)


def _listed(text: str, folder: str) -> Iterator[UnitSpec]:
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = _words(line)
        if words:
            one = _repository(words, folder)
            if one.unit in seen:
                unit = f"{one.unit} (line {number})"
                one = one._replace(unit=unit, refused=one.refused or f"is also named in line {seen[one.unit]}")
            seen.setdefault(one.unit, number)
            yield one


def _words(line: str) -> list[str]:
    """The words of a line without its comment; quotes hold a path with spaces together."""
    import shlex

    if len(line) > _LONGEST:
        return [line[:40] + "…", "", ""]
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return [line.strip(), "", ""]


def _repository(words: list[str], folder: str) -> UnitSpec:
    """`URL-or-path [@REF] [NAME]`."""
    source, *rest = words
    refs = [word[1:] for word in rest if word.startswith("@")]
    names = [word for word in rest if not word.startswith("@")]
    ref = refs[0] if refs else ""
    refused = clones.refusal(source, ref)
    if len(refs) > 1 or len(names) > 1:
        refused = refused or "expected a URL or a path, then perhaps @REF and a name"
    unit = names[0] if names and names[0] else _shown(source, ref, refused)
    if not refused and clones.is_path(source):
        source = os.path.normpath(os.path.join(folder, source))
        refused = "" if os.path.isdir(source) else "is not a folder"
    return UnitSpec(unit, REPOSITORY, source, ref=ref, refused=refused)


def _shown(source: str, ref: str, refused: str) -> str:
    """An address for everybody to see."""
    from orchgate.git.refs import public

    local = clones.is_path(source) or source.startswith("file:")
    shown = source if local and "@" not in source else public(source)
    shown = shown or source.rpartition("@")[2] if not refused else source.rpartition("@")[2]
    return (f"{shown}@{ref}" if ref else shown)[:200]
