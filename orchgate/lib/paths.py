"""Paths of a repository: which ones a glob matches, and which ones may be written to.

One glob language serves the whole configuration: `*` and `?` within a name, `**` across folders, `{a,b}`, `[…]`. In a
list, an entry with a leading `!` takes back what entries before it matched.

Nothing is written to a name that git keeps for itself, or through a link. The names are those that git's own path check
refuses with `core.protectHFS` and `core.protectNTFS`, on every system: what is written here may be carried to a file
system that folds letters, drops trailing dots, or knows short names.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from itertools import groupby

from orchgate.errors import OrchgateError
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MAX_BRACES = 256
MAX_CLASS = 100  # characters between [ and ]
_FEW = 64  # paths that are compared before a regular expression has paid for itself
_FOLDERS, _ANYTHING, _STAR = "(?:[^/]+/)*", ".*", "[^/]*"


def expand_braces(pattern: str) -> list[str]:
    """`a/{b,c}` as `["a/b", "a/c"]`; at most 256 results, after which the rest stays literal."""
    if "{" not in pattern:
        return [pattern]
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        current = waiting.pop(0)
        match = next((match for match in re.finditer(r"\{([^{}]*)\}", current) if "," in match[1]), None)
        parts = match[1].split(",") if match else []
        if match is None or len(waiting) + len(done) + len(parts) > MAX_BRACES:
            done.append(current)
            continue
        waiting.extend(current[: match.start()] + part + current[match.end() :] for part in parts)
    return done


@lru_cache(maxsize=512)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """A regular expression that matches whole repository paths, in time that no pattern and no path can blow up."""
    return re.compile(_source(pattern), re.DOTALL)


def _source(pattern: str) -> str:
    return "|".join(f"(?:{_translate(part)})" for part in expand_braces(pattern))


def _translate(pattern: str) -> str:
    """The pattern as a regular expression.

    What stands between two `**` begins and ends where its first match does, and an earlier match leaves more room to
    the rest: each takes its first one for good (an atomic group), and only the last `**` tries again.
    """
    wide: list[str] = []
    segments: list[list[str]] = [[]]
    for token in _tokens(pattern):
        if token not in (_FOLDERS, _ANYTHING):
            segments[-1].append(token)
        elif wide and not segments[-1]:
            wide[-1] = token if wide[-1] == token else _ANYTHING
        else:
            wide.append(token)
            segments.append([])
    out = [_narrow(segments[0], final=not wide)]
    for index, wildcard in enumerate(wide, 1):
        final = index == len(wide)
        inner = _narrow(segments[index], final=final)
        out.append(f"{wildcard}{inner}" if final else f"(?>{wildcard}?{inner})")
    return "".join(out)


def _narrow(tokens: list[str], *, final: bool) -> str:
    """A stretch without `**`; as above, only its last `*` tries again, and only at the end of the pattern."""
    chunks: list[list[str]] = [[]]
    for token in tokens:
        if token == _STAR:
            chunks.append([])
        else:
            chunks[-1].append(token)
    first, *rest = ("".join(chunk) for chunk in chunks)
    atomic = [f"(?>[^/]*?{chunk})" for chunk in rest]
    if rest and final:
        atomic[-1] = _STAR + rest[-1]
    return first + "".join(atomic)


def _tokens(pattern: str) -> Iterator[str]:
    index = 0
    while index < len(pattern):
        character = pattern[index]
        bracket = _bracket(pattern, index) if character == "[" else None
        if pattern.startswith("**/", index) and (index == 0 or pattern[index - 1] == "/"):
            yield _FOLDERS
            index += 3
        elif character == "*":
            yield _ANYTHING if pattern.startswith("**", index) else _STAR
            while pattern.startswith("*", index):
                index += 1
        elif bracket:
            yield bracket[0]
            index = bracket[1]
        else:
            plain = character.isalnum() or character == "/"
            yield character if plain else "[^/]" if character == "?" else re.escape(character)
            index += 1


def _bracket(pattern: str, index: int) -> tuple[str, int] | None:
    """The character class that begins at `index`, and where it ends; None when it is none: then `[` is a letter."""
    body = index + (2 if pattern[index + 1 : index + 2] in ("!", "^") else 1)
    end = pattern.find("]", body + 1, body + MAX_CLASS)
    if end < 0:
        return None
    inner = re.sub(r"([\\\[&~|^])", r"\\\1", pattern[body:end]).replace("--", r"-\-")
    source = f"(?!/)[{'^' if body == index + 2 else ''}{inner}]"
    if pattern[body:end].isalnum():  # `[mM]` needs no trial
        return source, end + 1
    try:
        re.compile(source)
    except re.error:
        return None
    return source, end + 1


def negates(pattern: str) -> bool:
    """Whether an entry of a list of globs takes back what those before it matched."""
    return pattern.startswith("!")


def bare(pattern: str) -> str:
    r"""An entry of a list of globs without its mark: `!a` takes `a` back, `\!a` is the name `!a`."""
    return pattern[1:] if pattern.startswith(("!", "\\!")) else pattern


def chosen(patterns: Sequence[str], fits: Callable[[str], bool]) -> bool:
    """What the last entry says that fits, by whatever means its bare form is compared; False when none does."""
    last = next((pattern for pattern in reversed(patterns) if fits(bare(pattern))), "!")
    return not negates(last)


@lru_cache(maxsize=128)
def matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Answers whether a path matches a list of globs: the last entry that fits decides, as in .gitignore."""
    if not any(map(negates, patterns)):
        return _one_of(patterns)
    # Consecutive entries of one kind are one expression, so that a path is read once for each run of them.
    runs = [(taking_back, _one_of(tuple(run))) for taking_back, run in groupby(patterns, negates)][::-1]

    def decided(path: str) -> bool:
        return not next((taking_back for taking_back, fits in runs if fits(path)), True)

    return decided


def _one_of(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    if not patterns:
        return lambda _: False
    whole = [pattern + "**" if pattern.endswith("/") else pattern for pattern in map(bare, patterns)]
    simple = [one for one in map(_simple, whole) if one is not None]
    asked = 0

    def answer(path: str) -> bool:
        nonlocal asked
        asked += 1
        if asked <= _FEW and len(simple) == len(whole) and path[:1] != "/" and "//" not in path:
            return any(one(path) for one in simple)
        return _compiled(tuple(whole)).fullmatch(path) is not None

    return answer


@lru_cache(maxsize=128)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_source, patterns)), re.DOTALL)


def _simple(pattern: str) -> Callable[[str], bool] | None:
    """What does without a regular expression what that of a usual glob does to a repository's path; None for others."""
    name = pattern.removeprefix("**/")
    if name.startswith("*.[") and name != pattern:
        return _ending(name)
    if any(character in name for character in "?[{"):
        return None
    if name == pattern:
        folder = name.removesuffix("**")
        if folder != name and folder[-1:] == "/" and "*" not in folder:
            return lambda path: path.startswith(folder)
        return _by_folder(name) if "*" in name else pattern.__eq__
    ending = name.removeprefix("*")
    if "/" in ending or "*" in ending:
        return None
    return lambda path: path.endswith(ending) and (ending != name or path[: -len(ending)][-1:] in ("", "/"))


def _by_folder(pattern: str) -> Callable[[str], bool] | None:
    """`packages/*/src/**`: whole names, or any name; at the end anything."""
    names = pattern.split("/")
    open_ended = names[-1] == "**"
    names = names[: len(names) - open_ended]
    if any("*" in name and name != "*" for name in names):
        return None
    count = len(names)

    def answer(path: str) -> bool:
        parts = path.split("/", count) if open_ended else path.split("/")
        same = all(name in ("*", part) for name, part in zip(names, parts, strict=False))
        return same and len(parts) == count + open_ended

    return answer


def _ending(name: str) -> Callable[[str], bool] | None:
    """`*.[mM][dD]`: an ending in either case."""
    letters = name[2:].lower()[1::4]
    if not letters.isascii() or name[2:] != "".join(f"[{letter}{letter.upper()}]" for letter in letters):
        return None
    start = -len(letters)
    return lambda path: path[start - 1 : start] == "." and path[start:].isascii() and path[start:].lower() == letters


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a repository path matches a list of globs. A pattern ending in `/` matches all below the folder."""
    return matcher(tuple(patterns))(path)


# Code points that HFS+ leaves out of a name when it compares.
_IGNORED = dict.fromkeys((*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))
# NTFS drops dots and blanks at the end of a name, and takes what follows a colon for a stream of the same file.
_GIT_FOLDER = lazy(r"(?ais)(?:\.git|git~[0-9]+)[ .]*(?::.*)?")

# What git looks for in a folder before it takes it for a repository, bare and whatever it is called.
GIT_NAMES = frozenset({"head", "objects", "refs", "commondir"})


def is_git_name(name: str) -> bool:
    """Whether one component of a path is, somewhere, another way to write `.git`."""
    pieces = name.translate(_IGNORED).split("\\")
    return any(_GIT_FOLDER.fullmatch(piece) for piece in pieces if piece[:4].lower() in (".git", "git~"))


def git_name(path: str) -> str:
    """The first component of a repository path that git keeps for itself; "" when there is none."""
    # Nearly every path is done with here: without these letters no spelling of the name can be made.
    folded = path.casefold()
    if "git" not in folded and folded.isascii():
        return ""
    return next((name for name in path.split("/") if is_git_name(name)), "")


def why_outside(path: str) -> str:
    """Why a path, or a glob of paths, names nothing that a repository holds; "" when it may."""
    names = path.split("/")
    if path.startswith(("/", "~")) or ".." in names:
        return "leads out of the repository"
    if not path or path.startswith("$"):
        return "names no file"
    return "is in a folder that git keeps for itself" if git_name(path) else ""


def looks_like_git(names: Iterable[str]) -> bool:
    """Whether git would take a folder with these names in it for a repository."""
    folded = GIT_NAMES & {name.casefold() for name in names}
    return "head" in folded and ("commondir" in folded or {"objects", "refs"} <= folded)


def links(root: str, path: str) -> Iterator[str]:
    """The symbolic links on the way to a repository path, itself included, as repository paths."""
    at = ""
    for name in path.split("/"):
        at = f"{at}/{name}" if at else name
        if os.path.islink(os.path.join(root, at)):
            yield at


def require_real(root: str, path: str) -> None:
    """Refuses a repository path that passes through a symbolic link or a name of git's. Raises OrchgateError."""
    if named := git_name(path):
        raise OrchgateError(f"{path}: {named!r} is a name that git keeps for itself", "remove it from what names it")
    link = next(links(root, path), None)
    if link is not None:
        raise OrchgateError(f"{path} is reached through a symbolic link: {link}", f"replace {link} by what it leads to")


def require_inside(root: str, folder: str) -> None:
    """Refuses a folder to write to that lies, links resolved, outside of a root or in a git folder.

    Both are absolute; the folder need not be there yet. Raises OrchgateError.
    """
    top, real = os.path.realpath(root), os.path.realpath(folder)
    inner = os.path.relpath(real, top)
    shown = os.path.relpath(folder, root)
    if inner == ".." or inner.startswith("../"):
        raise OrchgateError(
            f"{_link_on_the_way(root, shown)} is a symbolic link that leads out of the repository",
            "put a real folder there; another disk can be mounted in its place",
        )
    if git_name(inner):
        raise OrchgateError(f"{shown} leads into a git folder: {inner}", f"replace {_link_on_the_way(root, shown)}")


def _link_on_the_way(root: str, path: str) -> str:
    return next(links(root, path), path)
