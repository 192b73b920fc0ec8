"""What is stored about one comparison: its verdict, the raw pairs, and how much of the error budgets is spent.

The same comparison asked for again goes on where it stopped. Its budgets are split over the sittings: 2/3 for the
first, then 2/9, 2/27 and so on, which is never more than all of it, however often somebody pushes. The key holds
everything that decides a verdict, which programs the pipeline's commands are on this machine among it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.digest import sha256_hex
from orchgate.model import Finding, Location, Severity, Step
from orchgate.runner.environment import unhooked
from orchgate.verdict.values import Pair, Sitting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.config.settings import Config
    from orchgate.runs.stages import Pipeline, Stage

VERSION = 4  # of the rule as well: what was judged by another one is judged again
_FIRST_SHARE = 2 / 3
_LONGEST = 16 << 20  # bytes of an entry once it is unpacked
_MOST = 64  # words of a command that are looked up
_FIRST_LINE = 256  # bytes
_LARGEST_SCRIPT = 1 << 16
_OF_GIT = "git-core"  # the folder that git puts first for its hooks; the same request is asked without one, too


class ComparisonKey(NamedTuple):
    """What a judgement is about: two trees, a digest of everything that was asked of them, and the kind of machine."""

    base: str
    head: str
    asked: str
    machine: str


class RunDuration(NamedTuple):
    """How long a run of a tree took, in seconds; `at_least`: it was not over by then. `at` is an ISO 8601 time."""

    tree: str
    seconds: float
    at_least: bool = False
    at: str = ""


class StoredVerdict(NamedTuple):
    """What is kept of one request, judged `at` an ISO 8601 time; "" for never.

    `conclusive`: asking again would bring nothing new, and `findings` are the answer, from `judged` pairs. `pairs` are
    those of all `sittings`, to be gone on with; `spent` counts the shares that were handed out, also to pushes that are
    still measuring.
    """

    at: str = ""
    conclusive: bool = False
    judged: int = 0
    findings: tuple[Finding, ...] = ()
    pairs: tuple[Pair, ...] = ()
    sittings: tuple[Sitting, ...] = ()
    spent: int = 0

    def follows(self, other: StoredVerdict) -> bool:
        """Whether this is what other pushes may have made of an entry. An older one that somebody put back is not."""
        return self.spent >= other.spent and self.pairs[: len(other.pairs)] == other.pairs


def share(spent: int) -> float:
    """The fraction of the error budgets for the sitting after so many. All of them add up to 1."""
    return float(_FIRST_SHARE * (1 - _FIRST_SHARE) ** spent)


def encoded(entry: StoredVerdict) -> bytes:
    import json
    import zlib

    findings = [_plain_finding(one) for one in entry.findings]
    pairs = [[dict(one.base), dict(one.head), one.head_first, *map(dict, one[3:])] for one in entry.pairs]
    told = {"version": VERSION, **entry._asdict(), "findings": findings, "pairs": pairs}
    # zlib rather than a denser packing: a hook imports it anyway, and samples shrink to a fifth.
    return zlib.compress(json.dumps(told, separators=(",", ":")).encode("ascii"))


def _plain_finding(one: Finding) -> dict[str, object]:
    severity = one.severity.value if one.severity else None
    return {"rule": one.rule, "message": one.message, "hint": one.hint, "severity": severity, "steps": one.steps}


def _finding(told: Mapping[str, Any]) -> Finding:
    """Raises ValueError, TypeError, KeyError."""
    steps = tuple(Step(str(label), str(command)) for label, command in told["steps"])
    text = str(told["message"]), str(told["hint"])
    return Finding(str(told["rule"]), Location(""), *text, Severity(told["severity"]), steps=steps)


def decoded(data: bytes | None) -> StoredVerdict | None:
    """An entry as it was encoded; None for anything else, such as one of another version."""
    import json
    import zlib

    if data is None:
        return None
    try:
        return _built(json.loads(zlib.decompressobj().decompress(data, _LONGEST)))
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _built(told: Mapping[str, Any]) -> StoredVerdict:
    """Raises ValueError, TypeError, KeyError, AttributeError."""
    counts = told["judged"], told["spent"]
    if told["version"] != VERSION or not all(isinstance(one, int) for one in counts):
        raise ValueError
    findings = tuple(_finding(one) for one in told["findings"])
    pairs = tuple(_pair(*one) for one in told["pairs"])
    sittings = tuple(Sitting(int(begun), int(planned), float(of)) for begun, planned, of in told["sittings"])
    return StoredVerdict(str(told["at"]), told["conclusive"] is True, counts[0], findings, pairs, sittings, counts[1])


def _pair(base: Mapping[str, float], head: Mapping[str, float], head_first: bool, *reasons: Mapping[str, str]) -> Pair:
    sides = [{str(name): _rounded(float(value)) for name, value in side.items()} for side in (base, head)]
    rest = [{str(name): str(why) for name, why in side.items()} for side in reasons]
    return Pair(sides[0], sides[1], head_first is True, *rest)


def _rounded(value: float) -> float:
    """A value to nine digits, which no clock has; counts are exact."""
    return value if value.is_integer() else float(f"{value:.9g}")


def plain(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Pairs as they are when they are read again."""
    return tuple(_pair(*pair) for pair in pairs)


def digest(parts: Iterable[object]) -> str:
    """SHA-256, in hex, of values whose `ascii` says all there is to say about them."""
    return sha256_hex("\0".join(map(ascii, parts)))


def of_question(config: Config, root: str, environ: Mapping[str, str]) -> tuple[object, ...]:
    """PATH, and each program that the pipeline's commands name, as what it is. No errors."""
    path = unhooked(environ).get("PATH", os.defpath)
    found = dict.fromkeys(_programs(config.performance.setup, path))
    for stage in _stages(config, root):
        words = stage.argv or ("/bin/sh", *_words(stage.shell))
        found |= dict.fromkeys(_programs(words, stage.env.get("PATH", path)))
    return (":".join(part for part in path.split(os.pathsep) if os.path.basename(part) != _OF_GIT), *found)


def _stages(config: Config, root: str) -> Iterator[Stage]:
    from orchgate.runs.pipeline import load_all

    pipelines: Mapping[str, Pipeline] = {}
    with contextlib.suppress(OrchgateError):  # it is said where it matters, when it is to be run
        pipelines = load_all(root, config)
    waiting, seen = [config.performance.pipeline], set()
    while waiting:
        name = waiting.pop()
        if name in pipelines and name not in seen:
            seen.add(name)
            yield from pipelines[name].stages
            waiting += [stage.pipeline for stage in pipelines[name].stages if stage.pipeline]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _programs(words: Iterable[str], path: str) -> Iterator[tuple[object, ...]]:
    """Those of a command's words that name programs outside of the tree, and what runs the scripts among them."""
    for word in list(words)[:_MOST]:
        place = _program(word, path)
        if place:
            yield (word, *_program_identity(place))
            for inner in _of_script(place):
                if runs := _program(inner, path):
                    yield (inner, *_program_identity(runs))


def _program(word: str, path: str) -> str:
    """The place of a program; "" for what is none, or lies in the tree, which is part of the request anyway."""
    if "\0" in word or not word:
        return ""
    if os.path.isabs(word):
        return word if os.access(word, os.X_OK) and not os.path.isdir(word) else ""
    if os.sep in word:
        return ""
    import shutil

    return shutil.which(word, path=path) or ""


def _program_identity(place: str) -> tuple[object, ...]:
    """What tells a program from another one at the same place.

    A script is its content: version managers write theirs anew in every new shell. Nobody reads a large program for
    this; that one is its size and time.
    """
    real = os.path.realpath(place)
    try:
        if start := _script(real):
            return (real, sha256_hex(start))
        found = os.stat(real)
    except OSError:
        return (real,)
    return (real, found.st_size, found.st_mtime_ns)


def _of_script(place: str) -> list[str]:
    """The interpreter that a script's first line names, by itself or through env."""
    try:
        return os.fsdecode(_script(place)[2:_FIRST_LINE].partition(b"\n")[0]).split()
    except OSError:
        return []


def _script(place: str) -> bytes:
    """A script, or as much of it as anybody reads; nothing of any other program. Raises OSError."""
    with open(files.open_regular(place), "rb") as file:
        start = file.read(2)
        return start + file.read(_LARGEST_SCRIPT) if start == b"#!" else b""
