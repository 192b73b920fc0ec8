"""What a text points at: a path, a pattern, an unfilled placeholder, another machine's path, an anchor, or nothing."""

from __future__ import annotations

import re

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import Enum, NamedTuple

RUN_ID = lazy(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z-[0-9a-f]{8}")

_LOCAL = lazy(
    r"file:/{1,3}[\w.$<{~-]|(?:/(?:Users|home|root|Volumes|private|var/folders|mnt/[a-z])/[^/]+/|/tmp/|~[\w.-]*/|[A-Za-z]:[\\/](?![\\/]))[\w.$<{-]"
)
_OWN_HOME = ("~/", "/tmp/", "/private/tmp/", "/var/folders/")  # noqa: S108 -- nothing is written there
_SCHEME = lazy(r"[A-Za-z][A-Za-z0-9+.-]+:")  # of one letter: a drive of Windows
_REMOTE = lazy(r"[\w.-]+@[\w.-]+:")  # `git@host:owner/name`, as ssh and scp take it
_LINES = lazy(r":L?\d+(?:[-:,]L?\d+)*$")
_LINE_RANGE = lazy(r"L(\d+)(?:C\d+)?(?:-L?(\d+)(?:C\d+)?)?")
_LONGEST = 12  # digits of a line number that are looked at
_NOT_A_PATH = lazy(r"[\s|\"`\\;^\x00-\x1f]")
_UNFILLED = lazy(
    r"<[^<>/]*>|\{\{?[^{},/]*\}\}?|\$\{?\w+|^%(?:(?![0-9A-Fa-f]{2})\w+|[A-Z_]{3,})%|YYYY|XXXX|(?<![A-Za-z])(?:X{3,}|N{4,})(?![A-Za-z])"
)
_OF_UNFILLED = ("<", "{", "$", "%", "YYYY", "XXX", "NNNN")  # one of them is in each; most paths have none
_FOR_A_GENERATOR = lazy(r"\{[{%]|[%}]\}")  # `{{ site.url }}/a`, `{% link a.md %}`: only it knows where these lead
_PATTERN = lazy(r"[*?]|\[[^\]/]+\]|\{[^{}]*,[^{}]*\}")
_OF_PATTERNS = frozenset("*?[{")
_NEVER_IN_PATHS = frozenset("<>{}$()=,'")  # of those that code spans name
_MOST_STARS = 3  # in one name; more would take long to match
# Pages that GitHub serves beside a repository's files: `../../issues/12` does not leave the repository.
_SITE = lazy(
    r"(?:\.\./)+(?:issues|pulls?|discussions|wiki|releases|actions|projects|security|compare|commits?|tree|blob|raw|"
    r"labels|milestones?|graphs|network|stargazers|archive|tags|branches)(?:[/?#]|$)"
)


class TargetKind(Enum):
    PATH = "path"
    PATTERN = "pattern"
    UNFILLED = "unfilled"
    LOCAL = "local"
    ANCHOR = "anchor"


class ReferenceTarget(NamedTuple):
    """`path` is as written, without line numbers, query and anchor; `artifact`: it leads into a folder of runs.

    `line` is the last line that the text names, by `:12-14` or `#L12-L14`; 0 for none.
    """

    kind: TargetKind
    path: str
    anchor: str = ""
    artifact: bool = False
    line: int = 0


class TargetReader:
    """Reads texts as targets; knows the roots of artifacts."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        names = "|".join(re.escape(root.strip("/")) for root in roots) or r"(?!)"
        self._artifact = lazy(rf"(?:\.{{1,2}}/)*(?:{names})/.")
        self._known: dict[str, ReferenceTarget | None] = {}  # spans read so far

    def span(self, text: str) -> ReferenceTarget | None:
        """What a code span points at; None for words, options, commands, routes, packages and the like."""
        if text not in self._known:
            self._known[text] = self._read_span(text)
        return self._known[text]

    def _read_span(self, text: str) -> ReferenceTarget | None:
        if "/" not in text and "\\" not in text:
            if ":" not in text:
                return None
            name = _LINES.sub("", text)
            named = name != text and "." in name and not _NOT_A_PATH.search(name)
            return ReferenceTarget(TargetKind.PATH, name, line=_last_line(text, "")) if named else None
        if _is_local(text):
            return ReferenceTarget(TargetKind.LOCAL, text) if not _NOT_A_PATH.search(text.replace("\\", "/")) else None
        if ":" in text and (_is_uri(text) or ("@" in text and _REMOTE.match(text))):
            return None
        if _NOT_A_PATH.search(text) or "…" in text or "..." in text or "://" in text or text[0] in "@-/$%&!=+'(#,:~<{[":
            return None
        path, _, anchor = text.partition("#")
        return self._target(path, anchor)

    def link(self, text: str) -> ReferenceTarget | None:
        """What a Markdown destination points at; None for the web and for places only GitHub's site has."""
        if not text or "…" in text or "..." in text.partition("#")[0]:
            return None
        if text.startswith("#"):
            return ReferenceTarget(TargetKind.ANCHOR, "", text[1:])
        if _is_local(text):
            return ReferenceTarget(TargetKind.LOCAL, text)
        if _is_uri(text) or text.startswith("//") or (text.startswith("../") and _SITE.match(text)):
            return None
        path, _, anchor = text.partition("#")
        return self._target(path.partition("?")[0], anchor, link=True)

    def _target(self, written: str, anchor: str, *, link: bool = False) -> ReferenceTarget | None:
        path = _LINES.sub("", written) if ":" in written else written
        artifact = self._artifact.match(path) is not None
        if is_unfilled(path):
            return ReferenceTarget(TargetKind.UNFILLED, path, "", artifact) if artifact or link else None
        if link and not artifact and _FOR_A_GENERATOR.search(path):
            return None
        if not _OF_PATTERNS.isdisjoint(path) and _PATTERN.search(path):
            if any(part.count("*") > _MOST_STARS for part in path.split("/")) or path.count("**") > _MOST_STARS:
                return None
            return ReferenceTarget(TargetKind.PATTERN, path, "", artifact)
        if not link and not _NEVER_IN_PATHS.isdisjoint(path):
            return None
        return ReferenceTarget(TargetKind.PATH, path, anchor, artifact, _last_line(written, anchor))


def _is_uri(text: str) -> bool:
    """Whether a text begins with a scheme, such as `tel:` or `doi:`; `plan.md:12` is a path with a line."""
    scheme = _SCHEME.match(text) if ":" in text else None
    if scheme is None:
        return False
    name, lines = scheme[0][:-1], _LINES.search(text)
    return not ("." in name and lines and lines.start() == len(name))


def _is_local(text: str) -> bool:
    # Most commits have no such path: the first characters tell without compiling the pattern.
    return (text[0] in "/~" or text[1:2] == ":" or text.startswith("file:/")) and _LOCAL.match(text) is not None


def _last_line(path: str, anchor: str) -> int:
    """The largest line number that a text names; a second number behind a colon is a column."""
    if ":" not in path and not anchor:
        return 0
    suffix = _LINES.search(path)
    pieces = re.split("[-,]", suffix[0][1:]) if suffix else []
    numbers = [piece.partition(":")[0].lstrip("L") for piece in pieces]
    ranged = _LINE_RANGE.fullmatch(anchor) if anchor.startswith("L") else None
    numbers += [number for number in ranged.groups() if number] if ranged else []
    return max((int(number[:_LONGEST]) for number in numbers), default=0)


def unquoted(path: str) -> str:
    """`%20` and the like as characters; what is not UTF-8 survives as surrogates."""
    if "%" not in path:
        return path
    from urllib.parse import unquote

    return unquote(path, errors="surrogateescape")


def of_this_user(local: str) -> bool:
    """Whether a local path is not specific to one machine: `~/…` and temporary folders, common in instructions."""
    return local.startswith(_OWN_HOME)


def is_unfilled(text: str) -> bool:
    """Whether a text contains a placeholder such as `<run-id>`, `{task}` or `$USER`."""
    return any(mark in text for mark in _OF_UNFILLED) and _UNFILLED.search(text) is not None
