"""Kinds of text that name something, such as a branch or a folder: what cannot be one is refused."""

from __future__ import annotations

from orchgate.config.faults import INVALID, as_toml
from orchgate.config.kinds import Globs, ListOf, OrNone, PathOrGlob, Text, Word, nearest
from orchgate.lib.paths import git_name
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from orchgate.config.faults import At, Reading

# What git refuses in the name of a branch; a glob may hold *, ? and [.
_NOT_IN_BRANCHES = frozenset(" ~^:\\\x7f") | frozenset(map(chr, range(32)))
PHASES = ("before", "after")
LONGEST_REPOSITORY = 200  # characters of the name of a repository


class Branch:
    """The name of one branch."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if not isinstance(value, str):
            return reading.expected(at, "the name of a branch", value)
        odd = not _NOT_IN_BRANCHES.isdisjoint(value) or not {"*", "?", "["}.isdisjoint(value)
        if odd or ".." in value or value.startswith(("-", "/")) or value.endswith(("/", ".", ".lock")):
            return reading.expected(at, "the name of a branch", value)
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": r"^[^ ~^:\\*?\[]*$"}


class Branches(NamedTuple):
    """Globs of branches."""

    extends: bool = False

    def read(self, value: object, at: At, reading: Reading) -> object:
        globs = Globs(self.extends).read(value, at, reading)
        for index, glob in enumerate(globs if isinstance(globs, tuple) else ()):
            if not _NOT_IN_BRANCHES.isdisjoint(str(glob)):
                return reading.expected((*at, index), "a glob of branches", glob)
        return globs

    def schema(self) -> dict[str, object]:
        return Globs(self.extends).schema()


class Folder:
    """A folder inside the repository; "" and "." are its top."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if not isinstance(value, str):
            return reading.expected(at, "a folder inside the repository", value)
        if value.startswith(("/", "~")) or ".." in value.split("/") or "\0" in value or git_name(value):
            return reading.expected(at, "a folder inside the repository", value)
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": "^(?![/~])(?!(.*/)?\\.\\.(/|$))"}


class Root:
    """A folder below the top of the repository that is not git's own."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        text = PathOrGlob().read(value, at, reading)
        if not isinstance(text, str):
            return INVALID
        if text.startswith("/") or ".." in text.split("/") or not text.strip("/."):
            return reading.expected(at, "a folder inside the repository", text)
        if git_name(text):
            return reading.expected(at, "a folder that is not git's own", text)
        return text

    def schema(self) -> dict[str, object]:
        return {"type": "string", "minLength": 1, "pattern": "^(?!!)(?!/)(?!(.*/)?\\.\\.(/|$))"}


class DocumentPlace:
    """Where a document of each packet may be: a path with `{slug}` or `{task}`."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        text = PathOrGlob().read(value, at, reading)
        if not isinstance(text, str):
            return INVALID
        if "{slug}" not in text and "{task}" not in text:
            return reading.expected(at, "a path with {slug} or {task}", text)
        return text if is_inside(text) else reading.expected(at, "a path inside the repository", text)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": "^(?!!).*\\{(slug|task)\\}"}


class FileInTree:
    """The path of a file as git names it."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if isinstance(value, str) and is_inside(value):
            return value
        return reading.expected(at, "a path inside the repository", value)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "minLength": 1, "pattern": "^(?!/)(?!(.*/)?\\.\\.(/|$))"}


def is_inside(path: str) -> bool:
    """Whether a path can be one that git names: relative, and without empty parts or dots for parts."""
    return "\0" not in path and not {"", ".", ".."}.intersection(path.removeprefix("./").split("/"))


class RequiredRun:
    """A kind of run: a pipeline, or one before or after the change."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if not isinstance(value, str):
            return reading.expected(at, "a string", value)
        pipeline, colon, phase = value.partition(":")
        if not pipeline or (colon and phase not in PHASES):
            hint = f'write "{pipeline}:{near}"' if pipeline and (near := _near(phase)) else ""
            return reading.expected(at, 'a pipeline, or one with ":before" or ":after"', value, hint)
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": "^[^:]+(:(before|after))?$"}


def _near(phase: str) -> str:
    return nearest(phase, PHASES).removeprefix("did you mean ").removesuffix("?")


class Filled(NamedTuple):
    """A text that says something, on one line of printable characters where it is a name."""

    what: str
    a_name: bool = False

    def read(self, value: object, at: At, reading: Reading) -> object:
        if not isinstance(value, str):
            return reading.expected(at, "a string", value)
        if not value.strip() or (self.a_name and not value.isprintable()):
            return reading.expected(at, self.what, value)
        return value

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": "\\S"}


class RepositoryName:
    """What a repository is called among others, such as owner/name."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if isinstance(value, str) and is_repository_name(value):
            return value
        return reading.expected(at, "a name such as owner/name", value)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "maxLength": LONGEST_REPOSITORY, "pattern": "^(?!/)(?!(.*/)?\\.{0,2}(/|$))\\S*$"}


def is_repository_name(text: str) -> bool:
    """Whether a repository can be called so: no path of a machine, and nothing that leads out of a folder."""
    if not text.isprintable() or text.split() != [text]:
        return False
    return len(text) <= LONGEST_REPOSITORY and not {"", ".", ".."}.intersection(text.split("/"))


class Variable:
    """The name of a variable of the environment."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if isinstance(value, str) and value and "=" not in value and "\0" not in value:
            return value
        return reading.expected(at, "the name of a variable", value)

    def schema(self) -> dict[str, object]:
        return {"type": "string", "pattern": "^[^=]+$"}


class Command:
    """A program with its arguments."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if not isinstance(value, str):
            return ListOf(Text()).read(value, at, reading)
        import shlex

        try:
            words = shlex.split(value)
        except ValueError:  # a quotation mark that nothing closes
            words = value.split()
        shell = f" or `shell = {as_toml(value)}`" if at[-1:] == ("run",) else ""
        return reading.wrong(at, f"expected an array; write `{at[-1]} = {as_toml(words)}`{shell}")

    def schema(self) -> dict[str, object]:
        return ListOf(Text()).schema()


class ToolCommands:
    """Programs by name, each perhaps with what asks it for its version: `node`, `go version`."""

    most = 20

    def read(self, value: object, at: At, reading: Reading) -> object:
        found = ListOf(Text()).read(value, at, reading)
        for index, command in enumerate(found if isinstance(found, tuple) else ()):
            name = command.split()[:1]
            if not name or "/" in name[0] or not command.isprintable():
                return reading.expected((*at, index), 'a program\'s name, such as "node" or "go version"', command)
        if isinstance(found, tuple) and len(found) > self.most:
            return reading.expected(at, f"at most {self.most} programs", value)
        return found

    def schema(self) -> dict[str, object]:
        item = {"type": "string", "pattern": "^\\s*[^/\\s]+(\\s.*)?$"}
        return {"type": "array", "items": item, "maxItems": self.most}


class Versions:
    """Bounds on a version, such as `>=0.2,<1`."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        if isinstance(value, str) and (not value or all(_bound(part) for part in value.split(","))):
            return value
        return reading.expected(at, 'bounds such as ">=0.2"', value)

    def schema(self) -> dict[str, object]:
        return {"type": "string"}


def _bound(text: str) -> tuple[str, tuple[int, ...]] | None:
    text = text.strip()
    sign = next((sign for sign in (">=", "<=", "==", "!=", ">", "<") if text.startswith(sign)), "")
    parts = text[len(sign) :].strip().split(".")
    return (sign or "==", tuple(map(int, parts))) if all(part.isascii() and part.isdigit() for part in parts) else None


def admits(bounds: str, version: str) -> bool:
    """Whether a version, of which only the numbers count, is within bounds."""
    numbers = tuple(int(part) for part in version.split(".") if part.isascii() and part.isdigit())
    for text in bounds.split(",") if bounds else ():
        if (bound := _bound(text)) is None:
            return False
        sign, wanted = bound
        width = max(len(wanted), len(numbers))
        ours, theirs = (one + (0,) * (width - len(one)) for one in (numbers, wanted))
        holds = {
            ">=": ours >= theirs,
            "<=": ours <= theirs,
            ">": ours > theirs,
            "<": ours < theirs,
            "!=": ours != theirs,
        }
        if not holds.get(sign, ours[: len(wanted)] == wanted):
            return False
    return True


DIGEST = "#sha256="
SECURE = "https://"
LONGEST_SHARED = 1000  # characters of where a shared file is
MOST_SHARED = 8
_HEX = frozenset("0123456789abcdef")


class SharedFile(NamedTuple):
    """An entry of `extends`: a path in this repository or an address, and the SHA-256 of what is there, "" for none."""

    place: str
    sha256: str

    @property
    def is_address(self) -> bool:
        return ":" in self.place.partition("/")[0]

    def fault(self) -> tuple[str, str]:
        """What is wrong with it, and what to do; "" for nothing."""
        found = self.fault_of_place()
        return found if found[0] else self._digest_fault()

    def fault_of_place(self) -> tuple[str, str]:
        """As `fault`, whether it is pinned or not. An address with a password in it is not repeated."""
        place = self.place
        if not place.isprintable() or not place or len(place) > LONGEST_SHARED or "#" in place:
            return f"expected a path or an https address of at most {LONGEST_SHARED} characters", ""
        if self.is_address:
            host = place.removeprefix(SECURE).partition("/")[0].partition("?")[0]
            if "@" in host:
                return "an address with a user name or a password in it", "whoever reads this file would know them"
            if not place.startswith(SECURE) or not host or " " in place or not place.isascii():
                return f"expected a path in this repository or an address that starts with {SECURE}", ""
        elif not is_inside(place) or place.startswith(("~", "./")) or "\\" in place or git_name(place):
            return f"expected a path inside the repository, got {as_toml(place)}", ""
        elif not place.endswith(".toml"):  # a change of it is one of the configuration: no code is to pass for that
            return f"expected the path of a .toml file, got {as_toml(place)}", ""
        return "", ""

    def _digest_fault(self) -> tuple[str, str]:
        if not self.sha256:
            return f"is not pinned: expected {DIGEST}… after the name", "orchgate config update --accept"
        if len(self.sha256) != 64 or not _HEX.issuperset(self.sha256):
            return f"expected 64 digits of 0-9 and a-f after {DIGEST}, got {as_toml(self.sha256, 70)}", ""
        return "", ""


def shared_file(text: str) -> SharedFile:
    """An entry of `extends`, as it is written."""
    place, mark, digest = text.partition(DIGEST)
    return SharedFile(place, digest if mark else "")


class SharedFiles:
    """The configurations that one starts from, the weaker ones first."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        entries = ListOf(Text()).read(value, at, reading)
        if not isinstance(entries, tuple):
            return INVALID
        if len(entries) > MOST_SHARED:
            return reading.wrong(at, f"expected at most {MOST_SHARED} shared files, got {len(entries)}")
        seen: set[str] = set()
        for index, one in enumerate(map(shared_file, entries)):
            fault, hint = one.fault()
            if fault:
                reading.wrong((*at, index), fault, hint)
            elif not seen.isdisjoint(one):
                reading.wrong((*at, index), "names the same file, or the same content, as an entry before it")
            seen.update(one)
        return entries

    def schema(self) -> dict[str, object]:
        inside = "^(?!/)(?!(.*/)?\\.{1,2}/)[^#:]+\\.toml#sha256=[0-9a-f]{64}$"
        items = {
            "type": "string",
            "anyOf": [{"pattern": f"^{SECURE}[^#@]+{DIGEST}[0-9a-f]{{64}}$"}, {"pattern": inside}],
        }
        return {"type": "array", "maxItems": MOST_SHARED, "items": items}


class KeyNames:
    """Keys, or tables, by their dotted names."""

    def read(self, value: object, at: At, reading: Reading) -> object:
        return ListOf(Filled("the dotted name of a key", a_name=True)).read(value, at, reading)

    def schema(self) -> dict[str, object]:
        return {"type": "array", "items": {"type": "string", "pattern": "\\S"}}


BRANCH = Branch()
BRANCHES = Branches()
ROOTS = ListOf(Root())
DOCUMENT_PLACES = ListOf(DocumentPlace(), or_one=True)
FILE_IN_TREE = OrNone(FileInTree())
REQUIRED_RUNS = ListOf(RequiredRun())
SHARED_FILES = SharedFiles()
KEY_NAMES = KeyNames()
REPOSITORY = OrNone(RepositoryName())
TRAILER = OrNone(Word("a trailer's name: letters, digits and -", "-"))
ENVIRONMENT = OrNone(Word("a variable's name: letters, digits and _", "_"))
