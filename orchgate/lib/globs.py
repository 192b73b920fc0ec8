"""The one glob language of the configuration: `*` and `?` within a name, `**` across folders, `{a,b}`, `[…]`.

In a list, an entry with a leading `!` takes back what entries before it matched.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MAX_BRACES = 256
MAX_CLASS = 100  # characters between [ and ]
_FOLDERS, _ANYTHING, _STAR = "(?:[^/]+/)*", ".*", "[^/]*"


def expand_braces(pattern: str) -> list[str]:
    """`a/{b,c}` as `["a/b", "a/c"]`; at most 256 results, after which the rest stays literal."""
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
            yield "[^/]" if character == "?" else re.escape(character)
            index += 1


def _bracket(pattern: str, index: int) -> tuple[str, int] | None:
    """The character class that begins at `index`, and where it ends; None when it is none: then `[` is a letter."""
    body = index + (2 if pattern[index + 1 : index + 2] in ("!", "^") else 1)
    end = pattern.find("]", body + 1, body + MAX_CLASS)
    if end < 0:
        return None
    inner = re.sub(r"([\\\[&~|^])", r"\\\1", pattern[body:end]).replace("--", r"-\-")
    source = f"(?!/)[{'^' if body == index + 2 else ''}{inner}]"
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
    whole = (pattern + "**" if pattern.endswith("/") else pattern for pattern in map(bare, patterns))
    fits = re.compile("|".join(map(_source, whole)), re.DOTALL).fullmatch
    return lambda path: fits(path) is not None


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a repository path matches a list of globs. A pattern ending in `/` matches all below the folder."""
    return matcher(tuple(patterns))(path)
