"""Which existing path was probably meant. Only for what is missing, and among few candidates."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from functools import cached_property

from orchgate.git.trees import LookedUp
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.references.targets import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from orchgate.git.snapshot import Snapshot
    from orchgate.references.artifacts import Artifacts

_NEIGHBOURS = 12  # names on either side, in alphabetical order, that are compared letter by letter
_LONGEST = 200  # characters of a name that are compared
_MOST_NAMESAKES = 20
_SHORT = 16  # characters
_ALIKE = 0.75


def closest(name: str, known: Sequence[str], cutoff: float) -> str:
    """The name that was probably meant, or "". Of many names only those that begin or end like it are compared."""
    few = known if len(known) <= 4 * _NEIGHBOURS else _neighbours(name, known)
    alike = _most_alike(name[:_LONGEST], [one for one in few if len(one) <= _LONGEST], 1, cutoff)
    return next(iter(alike), "")


def _most_alike(name: str, names: Iterable[str], most: int, cutoff: float) -> list[str]:
    """What `difflib.get_close_matches` gives, at a tenth of its cost: names that cannot win are not compared."""
    best: list[tuple[float, str]] = []
    letters = Counter(name)
    likely = ((_at_both_ends(name, one) if abs(len(one) - len(name)) < 2 else 0, one) for one in names)
    for _, one in sorted(likely, reverse=True):
        least = best[-1][0] if len(best) == most else cutoff
        shorter, both = min(len(one), len(name)), len(one) + len(name)
        if 2.0 * shorter / both < least or 2.0 * _in_common(one, letters) / both < least:
            continue
        # Where one is the other with a part left out, or with another letter, what they share is at both ends; of short
        # ones nobody knows.
        ends = _at_both_ends(name, one) if shorter > _SHORT else 0
        ratio = 2.0 * ends / both if ends and ends >= shorter - (len(one) == len(name)) else _ratio(name, one)
        if ratio >= cutoff:
            best = sorted((*best, (ratio, one)), reverse=True)[:most]
    return [one for _, one in best]


def _at_both_ends(one: str, other: str) -> int:
    """How many letters two names begin and end with alike."""
    shorter = min(len(one), len(other))
    begin = bisect_left(range(1, shorter + 1), True, key=lambda size: one[:size] != other[:size])
    rest = range(1, shorter - begin + 1)
    return begin + bisect_left(rest, True, key=lambda size: one[-size:] != other[-size:])


def _in_common(one: str, letters: Mapping[str, int]) -> int:
    """How many letters of a name another one with such letters has, too, wherever they stand."""
    return sum([min(number, letters[letter]) for letter, number in Counter(one).items() if letter in letters])


def _ratio(name: str, one: str) -> float:
    from difflib import SequenceMatcher

    return SequenceMatcher(a=one, b=name).ratio()


def _neighbours(name: str, known: Iterable[str]) -> list[str]:
    forwards = sorted(known)
    backwards = sorted(one[::-1] for one in forwards)
    behind = (one[::-1] for one in _around(name[::-1], backwards))
    return sorted({*_around(name, forwards), *behind})


def _around(name: str, names: Sequence[str]) -> Sequence[str]:
    at = bisect_left(names, name)
    return names[max(at - _NEIGHBOURS, 0) : at + _NEIGHBOURS]


class Nearest:
    """Suggestions, each computed once a run."""

    def __init__(self, snapshot: Snapshot, artifacts: Artifacts) -> None:
        self._snapshot = snapshot
        self._artifacts = artifacts
        self._known: dict[str, str] = {}
        self._held: dict[str, Collection[str]] = {}
        self._listed: dict[str, Sequence[str]] = {}
        self._spellings: dict[str, frozenset[str]] = {}
        self._spelt: dict[tuple[str, str], list[str]] = {}
        self._cases: dict[str, frozenset[str]] = {}

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
        names = self._names(folder)
        if RUN_ID.fullmatch(name):
            runs = [other for other in names if RUN_ID.fullmatch(other)]
            near = _closest_run(name, runs)
            return f"the nearest run in {folder}/ is {near}" if near else f"there is no run in {folder}/"
        near = self._alike(name, folder)
        return f"did you mean {folder}/{near}?" if near else f"there is no {name} in {folder}/"

    def _file(self, path: str) -> str:
        if spelt := self._spelt_otherwise(path):
            return spelt
        folder, name = path.rpartition("/")[::2]
        near = self._alike(name, folder) if folder in self._snapshot.folders else ""
        if near:
            return f"did you mean {folder}/{near}?" if folder else f"did you mean {near}?"
        namesakes = self._by_name.get(name.casefold(), [])
        if 0 < len(namesakes) <= _MOST_NAMESAKES:
            return f"did you mean {max(namesakes, key=lambda other: _shared(path, other))}?"
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
        names = self._names_in_tree(folder)
        if folder not in self._spellings:
            self._spellings[folder] = frozenset(map(str.casefold if "".join(names).isascii() else _spelling, names))
        if spelling not in self._spellings[folder]:
            return ()
        if (folder, spelling) not in self._spelt:
            self._spelt[folder, spelling] = [other for other in names if _spelling(other) == spelling]
        return self._spelt[folder, spelling]

    def _alike(self, name: str, folder: str) -> str:
        """The name in a folder that differs in case only or in a few letters; "" when none is close."""
        names = self._names(folder)
        if folder not in self._cases:
            self._cases[folder] = frozenset(map(str.casefold, names))
        folded = name.casefold()
        if folded in self._cases[folder]:
            same = next((other for other in names if other != name and other.casefold() == folded), "")
            if same:
                return same
        suffix = name.rpartition(".")[2]
        few = [other[:_LONGEST] for other in _around(name, names)]
        for most in (1, 2):  # the second one is looked for where the first one is of another kind
            ranked = _most_alike(name[:_LONGEST], few, most, _ALIKE)
            if fitting := next((other for other in ranked if other.rpartition(".")[2] == suffix), ""):
                return fitting
        return ""

    def _is_folder(self, path: str) -> bool:
        return path in self._snapshot.folders or bool(self._artifacts.names(path))

    def _names(self, folder: str) -> Sequence[str]:
        if folder not in self._listed:
            self._listed[folder] = sorted({*self._names_in_tree(folder), *self._artifacts.names(folder)})
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

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        return _listed_by(lambda path: path.rpartition("/")[2].casefold(), self._snapshot.entries)


def _listed_by(key: Callable[[str], str], names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(key(name), []).append(name)
    return found


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


def _shared(path: str, other: str) -> int:
    return len(set(path.split("/")) & set(other.split("/")))


def _common_prefix(one: str, two: str) -> int:
    return next((index for index, pair in enumerate(zip(one, two, strict=False)) if pair[0] != pair[1]), len(one))
