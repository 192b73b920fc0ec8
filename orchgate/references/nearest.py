"""Which existing path was probably meant. Only for what is missing, and among few candidates."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

from orchgate.git.trees import LookedUp
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.references.targets import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Self

    from orchgate.git.snapshot import Snapshot
    from orchgate.references.artifacts import Artifacts

_NEIGHBOURS = 4  # names of a folder on either side, in the order of their beginnings and of their ends
_FEW = 48  # names, which are all compared
_LONGEST = 200  # characters of a name that are compared
_MOST_NAMESAKES = 20
_SHORT = 16  # characters
_DEAREST = 3  # of long names, those that are compared letter by letter
_ALIKE = 0.75
_ROUNDED = 1e-9  # by which a bound may come out lower than what it bounds


def closest(name: str, known: Sequence[str], cutoff: float) -> str:
    """The name that was probably meant, or "". Of many names only those that begin or end like it are compared."""
    few = known if len(known) <= _FEW else _neighbours(name, *_both_ways(known), _FEW // 4)
    return _most_alike(name, few, cutoff)


def _most_alike(name: str, names: Iterable[str], cutoff: float) -> str:
    """The first that `difflib.get_close_matches` gives, at a fraction of its cost; "" where none is alike.

    Of long names only those with the most pairs of letters in common are compared.
    """
    name = name[:_LONGEST]
    has = {*pairwise(name)}.__contains__
    few = [one for one in names if len(one) <= _LONGEST and _most(name, one) >= cutoff]
    likely = sorted([((1 + sum(map(has, pairwise(one)))) / (len(one) + len(name)), one) for one in few], reverse=True)
    best = (cutoff, "")
    for pairs, one in likely if len(name) <= _SHORT else likely[:_DEAREST]:
        # All pairs of what is shared are in common, and between two shared parts at least one letter is not shared.
        if min(_most(name, one), (pairs + 1) / 1.5 + _ROUNDED) >= best[0]:
            best = max(best, (2.0 * _matching(one, name) / (len(one) + len(name)), one))
    return best[1]


def _most(name: str, one: str) -> float:
    """How alike names of such lengths can be."""
    return 2.0 * min(len(name), len(one)) / (len(name) + len(one))


def _slip(name: str, names: Iterable[str]) -> str:
    """The first name that may have been mistyped; "" when there is none."""
    return next((one for one in names if _is_slip(name, one)), "")


def _is_slip(name: str, one: str) -> bool:
    """Whether all that differs is a letter more, less or other, or two that stand the other way round."""
    longer = max(len(name), len(one))
    if abs(len(name) - len(one)) > 1:
        return False
    begin = bisect_left(range(1, longer + 1), True, key=lambda size: one[:size] != name[:size])
    rest, other = name[begin:], one[begin:]
    if rest[1:] == other[1:] or rest[1:] == other or rest == other[1:]:
        return True
    return rest[2:] == other[2:] and rest[:2] == other[1::-1]


def _matching(one: str, other: str) -> int:
    """How many letters are in the longest part that two names share, and left and right of it again."""
    size = at = 0
    for start in range(len(one)):
        while start + size < len(one) and one[start : start + size + 1] in other:
            size, at = size + 1, start
    if not size:
        return 0
    there = other.index(one[at : at + size])
    left = _matching(one[:at], other[:there]) if at and there else 0
    return left + size + _matching(one[at + size :], other[there + size :])


def _both_ways(known: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names in order, and in the order of their ends, written backwards."""
    return sorted(known), sorted([one[::-1] for one in known])


def _neighbours(name: str, forwards: Sequence[str], backwards: Sequence[str], reach: int) -> list[str]:
    behind = (one[::-1] for one in _around(name[::-1], backwards, reach))
    return sorted({*_around(name, forwards, reach), *behind})


def _around(name: str, names: Sequence[str], reach: int) -> Sequence[str]:
    at = bisect_left(names, name)
    return names[max(at - reach, 0) : at + reach]


class Nearest:
    """Suggestions, each computed once a run."""

    def __init__(self, snapshot: Snapshot, artifacts: Artifacts) -> None:
        self._snapshot = snapshot
        self._artifacts = artifacts
        self._known: dict[str, str] = {}
        self._held: dict[str, Collection[str]] = {}
        self._listed: dict[str, _FolderNames] = {}
        self._cases: dict[str, _Spellings] = {}
        self._spellings: dict[str, _Spellings] = {}

    def hint(self, path: str) -> str:
        """The next thing to do about a missing path."""
        if path not in self._known:
            self._known[path] = self._artifact(path) if self._artifacts.owns(path) else self._file(path)
        return self._known[path]

    def _artifact(self, path: str) -> str:
        root = next(root for root in self._artifacts.roots if path == root or path.startswith(root + "/"))
        if root not in self._snapshot.folders and not self._artifacts.exists(root):
            return f"there is no {root}/ in this work tree; bring the runs here, or record them again"
        folder, name = path.rpartition("/")[::2]
        while folder and not self._is_folder(folder):
            folder, name = folder.rpartition("/")[::2]
        if RUN_ID.fullmatch(name):
            runs = [other for other in self._names(folder).forwards if RUN_ID.fullmatch(other)]
            near = _closest_run(name, runs)
            return f"the nearest run in {folder}/ is {near}" if near else f"there is no run in {folder}/"
        names = self._names(folder).near(name)
        near = self._cased(name, folder) or _slip(name, names) or _most_alike(name, names, _ALIKE)
        return f"did you mean {folder}/{near}?" if near else f"there is no {name} in {folder}/"

    def _cased(self, name: str, folder: str) -> str:
        """The name in a folder that differs in case only."""
        if folder not in self._cases:
            names = self._names(folder).forwards
            self._cases[folder] = _Spellings.of(names, [*map(str.casefold, names)])
        return next((other for other in self._cases[folder].alike(name.casefold()) if other != name), "")

    def _file(self, path: str) -> str:
        if spelt := self._spelt_otherwise(path):
            return spelt
        folder, name = path.rpartition("/")[::2]
        names = self._names(folder) if folder in self._snapshot.folders else None
        few = names.near(name) if names else []
        if near := _slip(name, few):
            return f"did you mean {_joined(folder, near)}?"
        namesakes = self._namesakes(name)
        if 0 < len(namesakes) <= _MOST_NAMESAKES:
            return f"did you mean {max(namesakes, key=lambda other: _shared(path, other))}?"
        if names and (near := _most_alike(name, few, _ALIKE) or names.of_another_kind(name)):
            return f"did you mean {_joined(folder, near)}?"
        return "correct the path, or remove the link"

    def _spelt_otherwise(self, path: str) -> str:
        """The hint about a path that differs in case or in its Unicode form only; "" where there is none."""
        found = [""]
        for name in path.split("/"):
            alike = [(folder, self._spelt_alike(folder, _spelling(name))) for folder in found]
            found = [f"{folder}/{other}".lstrip("/") for folder, others in alike for other in others]
        if not found:
            return ""
        import unicodedata

        other = max(found, key=lambda one: (one in self._snapshot.entries, one))
        composed = unicodedata.normalize("NFC", other)
        if composed != unicodedata.normalize("NFC", path):
            return f"did you mean {other}, which differs in case only?"
        form = "NFC" if other == composed else "NFD"
        return f"did you mean {other}, whose name has the Unicode form {form}? Both look alike"

    def _spelt_alike(self, folder: str, spelling: str) -> Sequence[str]:
        """The names in a folder of the tree that have a spelling."""
        if folder not in self._spellings:
            names = self._names_in_tree(folder)
            spelt = map(str.casefold if "".join(names).isascii() else _spelling, names)
            self._spellings[folder] = _Spellings.of(names, [*spelt])
        return self._spellings[folder].alike(spelling)

    def _is_folder(self, path: str) -> bool:
        return path in self._snapshot.folders or bool(self._artifacts.names(path))

    def _names(self, folder: str) -> _FolderNames:
        if folder not in self._listed:
            # In git's order, which is nearly this one.
            names = dict.fromkeys([*self._names_in_tree(folder), *self._artifacts.names(folder)])
            self._listed[folder] = _FolderNames(*_both_ways(names))
        return self._listed[folder]

    def _names_in_tree(self, folder: str) -> Collection[str]:
        """The names that a folder of the tree holds; where paths are looked up, no other folder is read for it."""
        if folder not in self._held:
            self._held[folder] = self._looked_up(folder) or self._by_folder.get(folder, ())
        return self._held[folder]

    def _looked_up(self, folder: str) -> Collection[str]:
        """As above; nothing where everything is listed, and where a folder cannot be looked up."""
        entries = self._snapshot.entries
        try:
            return entries.names(folder) if isinstance(entries, LookedUp) and not entries.listed else ()
        except ValueError:
            return ()

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        """Names of files and folders, by the folder that holds them."""
        return _grouped([*self._snapshot.entries, *self._snapshot.folders])

    def _namesakes(self, name: str) -> list[str]:
        """Files of that name, or of one that differs in case only, in any folder."""
        wanted, text = name.casefold(), self._folded
        found = dict.fromkeys(other for other in self._names_in_tree("") if other.casefold() == wanted)
        at = text.find(f"/{wanted}\0")
        while at >= 0 and len(found) <= _MOST_NAMESAKES:
            found[self._path(at)] = None
            at = text.find(f"/{wanted}\0", at + 1)
        return [path for path in found if path in self._snapshot.entries]

    @cached_property
    def _folded(self) -> str:
        """All paths without capital letters, a zero byte after each: quicker to search than a list."""
        return self._text.casefold()

    def _path(self, at: int) -> str:
        """The path that a place in that text is within."""
        text, folded = self._text, self._folded
        if text.isascii():
            return text[folded.rfind("\0", 0, at) + 1 : folded.find("\0", at)]
        return text.split("\0")[folded.count("\0", 0, at)]

    @cached_property
    def _text(self) -> str:
        entries = self._snapshot.entries
        return entries.paths() if isinstance(entries, LookedUp) else "\0".join([*entries, ""])


class _FolderNames(NamedTuple):
    """What is in a folder: in order, and in the order of its ends and written backwards."""

    forwards: list[str]
    backwards: list[str]

    def of_another_kind(self, name: str) -> str:
        """The name with another suffix; "" when there is none."""
        stem = name.rpartition(".")[0]
        few = self.forwards[bisect_left(self.forwards, f"{stem}.") :][:_NEIGHBOURS] if stem else []
        return next((other for other in few if other.rpartition(".")[0] == stem), "")

    def near(self, name: str) -> list[str]:
        """Those of the same kind that begin or end like one."""
        suffix = name.rpartition(".")[2]
        near = _neighbours(name, self.forwards, self.backwards, _NEIGHBOURS)
        return [other for other in near if other.rpartition(".")[2] == suffix]


class _Spellings(NamedTuple):
    """Names, and each without what case makes of it."""

    names: Sequence[str]
    folded: Sequence[str]
    known: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str], folded: Sequence[str]) -> Self:
        return cls([*names], folded, frozenset(folded))

    def alike(self, spelling: str) -> Sequence[str]:
        if spelling not in self.known:
            return ()
        return [name for name, one in zip(self.names, self.folded, strict=True) if one == spelling]


def _spelling(path: str) -> str:
    """A path without what case and Unicode form make of it."""
    if path.isascii():
        return path.casefold()
    import unicodedata

    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _grouped(paths: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name:
            found.setdefault(folder, []).append(name)
    return found


def _closest_run(name: str, runs: Sequence[str]) -> str:
    """The run whose time is closest. Run ids sort by time, so it is one of two neighbours."""
    at = bisect_left(runs, name)
    return max(runs[max(at - 1, 0) : at + 1], key=lambda run: _common_prefix(name, run), default="")


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _shared(path: str, other: str) -> int:
    return len(set(path.split("/")) & set(other.split("/")))


def _common_prefix(one: str, two: str) -> int:
    return next((index for index, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]), len(one))
