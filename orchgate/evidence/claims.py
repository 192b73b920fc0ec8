"""Which runs the sentences of a document rest on, and which of these claims a change adds."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from functools import lru_cache
from itertools import islice

from orchgate.evidence.facts import FAILURE
from orchgate.evidence.packet_evidence import PHASES
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import expand_braces
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.references.resolve import Where
from orchgate.references.targets import Notation, TargetKind, unquoted
from orchgate.runs.locate import manifest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.evidence.references import Mention, References
    from orchgate.markdown.document import Document
    from orchgate.references.targets import Reference

_SUCCESS = lazy(
    r"\b(?:pass(?:es|ed|ing)?|green|succe(?:ed|ss)\w*|works|verified|validated|clean|faster|improve[ds]?|"
    r"no regressions?)\b",
    re.IGNORECASE,
)
_LABEL = lazy(r"[^\n]*:[ \t]*$")
_DEFINED = lazy(r"\s*\[([^\[\]]{1,300})\]:")
_WILD = frozenset("*?[")
_MOST_MATCHES = 1_000  # of a pattern, of which it is looked at whether they are of one run
_ITEM = lazy(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]")


class RunClaim(NamedTuple):
    """A sentence that rests on a run, by the repository path of its manifest.

    `before`: the sentence is about what was there before the change. `knowing`: it says that something failed.
    """

    place: Mention
    manifest: str
    before: bool
    knowing: bool

    @property
    def words(self) -> str:
        """The sentence, however it is wrapped."""
        sentence = self.place.statement.sentence
        return " ".join(self.place.document.text[sentence.start : sentence.end].split())


def claims(
    document: Document, references: References, roots: tuple[str, ...], runs: frozenset[str], *, lost: bool = False
) -> Iterator[RunClaim]:
    """The claims of a document that cite one of the runs, or a file of one. `roots` are the folders of artifacts.

    Claims by what is nowhere are left to EVD001; `lost`: those alone.
    """
    for reference, target in references.all(document):
        if target.kind not in (TargetKind.PATH, TargetKind.PATTERN):
            continue
        if runs.isdisjoint(unquoted(reference.text).split("/")) and runs.isdisjoint(reference.text.split("/")):
            continue
        found = references.find(document, reference, target)
        if (found.where is Where.MISSING) is not lost:
            continue
        look = _of_pattern if target.kind is TargetKind.PATTERN else _of_path
        named = look(found.path, references, roots)
        for one in (reference, *_uses(document.text, reference)) if named else ():
            place = references.place(document, one)
            if _rests_on_it(place):
                knowing = place.statement.says(FAILURE) or FAILURE.search(place.rest()) is not None
                yield from (RunClaim(place, manifest, _is_before(place), knowing) for manifest in named)


def _uses(text: str, reference: Reference) -> Iterator[Reference]:
    """Where a text uses the label of a link that it defines elsewhere: what is claimed by it is said there."""
    defined = _DEFINED.match(text, reference.offset) if reference.written is Notation.LINK else None
    if defined is None:
        return
    label = r"\s+".join(map(re.escape, defined[1].split()))
    for use in re.finditer(rf"\[\s*{label}\s*\](?!:)", text, re.IGNORECASE):
        yield reference._replace(offset=use.start())


def _of_path(path: str, references: References, roots: tuple[str, ...]) -> dict[str, None]:
    manifest = manifest_of(references.resolver.real(path) + "/", roots)
    return {manifest: None} if manifest else {}


def _of_pattern(pattern: str, references: References, roots: tuple[str, ...]) -> dict[str, None]:
    """The runs that a pattern names: those in braces, and one that a wildcard hides. One that stands for several names
    none of them, as a folder of runs does.
    """
    found: dict[str, None] = {}
    for path in expand_braces(pattern):
        manifest = manifest_of(path + "/", roots)
        if manifest and _WILD.isdisjoint(manifest):
            found[manifest] = None
        elif not _WILD.isdisjoint(path):
            behind = islice(references.present(path), _MOST_MATCHES)
            runs = {one for match in behind if (one := manifest_of(match + "/", roots))}
            found |= dict.fromkeys(runs if len(runs) == 1 else ())
    return found


def _rests_on_it(place: Mention) -> bool:
    """Whether a sentence says that the run shows something."""
    statement = place.statement
    if statement.checked is False or statement.gone or place.template:
        return False
    text, start = place.document.text, place.document.text.rfind("\n", 0, place.reference.offset) + 1
    listed = text[start : start + 200].lstrip(" \t").startswith("|") or any(
        words.search(_label_above(text, start)) for words in PHASES.values()
    )
    if listed or (place.packet and place.claimed):
        return True
    return bool(statement.checked or statement.evidence or says_success(place))


def says_success(place: Mention) -> bool:
    """Whether the words of a sentence say that something holds."""
    return place.statement.sentence.holds(_SUCCESS)


def _is_before(place: Mention) -> bool:
    """Whether a claim is about what was there before the change: by its line, the label of its list, or its heading."""
    text, at = place.document.text, place.reference.offset
    start = text.rfind("\n", 0, at) + 1
    for words in (text[start:at], place.rest(), _label_above(text, start), _heading_above(place)):
        before, after = _last(PHASES["before"], words), _last(PHASES["after"], words)
        if before != after:
            return before > after
    return False


def _last(words: re.Pattern[str], text: str) -> int:
    return max((match.start() for match in words.finditer(text)), default=-1)


def _label_above(text: str, start: int) -> str:
    """The line with a colon at its end that stands above the list that a line is in."""
    known, passed, found = _labels(text), [start], ""
    while start > 0:
        end = start - 1
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end]
        if line.strip() and not _ITEM.match(line):
            found = line if _LABEL.fullmatch(line) else ""
            break
        if start in known:
            found = known[start]
            break
        passed.append(start)
    known.update(dict.fromkeys(passed, found))
    return found


@lru_cache(maxsize=2)  # the documents now and before
def _labels(text: str) -> dict[int, str]:
    """What stands above the lines asked about so far, by their offsets: each line of a list is passed once."""
    del text
    return {}


def _heading_above(place: Mention) -> str:
    headings = place.document.headings
    above = bisect_left(headings, place.reference.offset, key=lambda one: one.offset)
    return headings[above - 1].title if above else ""


def added(now: Iterable[RunClaim], before: Iterable[RunClaim]) -> list[RunClaim]:
    """The claims that were not there before: new sentences, where more of them rest on a run than did."""
    here = list(now)
    old = list(before)
    known = {(claim.manifest, claim.words) for claim in old}
    left = Counter(_about(claim) for claim in old)
    new: list[RunClaim] = []
    # What stands as it stood uses up an old claim first; then one that was only put differently.
    for claim in sorted(here, key=lambda claim: (claim.manifest, claim.words) not in known):
        if left[_about(claim)] > 0:
            left[_about(claim)] -= 1
        else:
            new.append(claim)
    return new


def _about(claim: RunClaim) -> tuple[str, bool]:
    return claim.manifest, claim.before
