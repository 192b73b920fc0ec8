"""Kinds of text that name something, such as a branch or a folder: what cannot be one is refused."""

from __future__ import annotations

from orchgate.config.faults import INVALID, as_toml
from orchgate.config.kinds import Globs, ListOf, Loaded, OrNone, PathOrGlob, Text, Word, nearest
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


BRANCH = Branch()
BRANCHES = Branches()
ROOTS = ListOf(Root())
DOCUMENT_PLACES = ListOf(DocumentPlace(), or_one=True)
FILE_IN_TREE = OrNone(FileInTree())
REQUIRED_RUNS = ListOf(RequiredRun())
SHARED_FILES = Loaded("orchgate.config.shared.entries", "SharedFiles")
KEY_NAMES = Loaded("orchgate.config.shared.entries", "KeyNames")
REPOSITORY = OrNone(RepositoryName())
TRAILER = OrNone(Word("a trailer's name: letters, digits and -", "-"))
ENVIRONMENT = OrNone(Word("a variable's name: letters, digits and _", "_"))
