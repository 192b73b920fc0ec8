"""The one glob language of the configuration: `*` and `?` within a name, `**` across folders, `{a,b}`, `[…]`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def expand_braces(pattern: str) -> list[str]:
    """`a/{b,c}` as `["a/b", "a/c"]`; at most 256 results, after which the rest stays literal."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        current = waiting.pop(0)
        match = re.search(r"\{([^{}]*,[^{}]*)\}", current)
        if match is None or len(waiting) + len(done) > 256:
            done.append(current)
            continue
        waiting.extend(current[: match.start()] + part + current[match.end() :] for part in match[1].split(","))
    return done


@lru_cache(maxsize=512)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """A regular expression that matches whole repository paths. Never backtracks over folders twice."""
    return re.compile("|".join(f"(?:{_translate(part)})" for part in expand_braces(pattern)), re.DOTALL)


def _translate(pattern: str) -> str:
    out: list[str] = []
    index = 0
    while index < len(pattern):
        if pattern.startswith("**/", index):
            out.append("(?:[^/]+/)*")
            index += 3
        elif pattern.startswith("**", index):
            out.append(".*")
            index += 2
        elif pattern[index] == "*":
            out.append("[^/]*")
            index += 1
        elif pattern[index] == "?":
            out.append("[^/]")
            index += 1
        elif pattern[index] == "[" and (end := pattern.find("]", index + 2)) > 0:
            inner = pattern[index + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out.append("[" + ("^" + inner[1:] if inner[0] == "!" else inner) + "]")
            index = end + 1
        else:
            out.append(re.escape(pattern[index]))
            index += 1
    return "".join(out)


@lru_cache(maxsize=128)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{compile_glob(pattern).pattern})" for pattern in patterns), re.DOTALL)


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a repository path matches one of the globs. A pattern ending in `/` matches all below the folder."""
    globs = tuple(pattern + "**" if pattern.endswith("/") else pattern for pattern in patterns)
    return bool(globs) and _any_of(globs).fullmatch(path) is not None
