"""What can go wrong outside the judged change, each with the exit code it ends in."""


def quoted(word: str) -> str:
    """A word of a command that a hint names: what a stranger called something must not run when it is pasted."""
    import shlex

    return shlex.quote(word)


REINSTALL = "reinstall orchgate in this environment: its dependencies are missing, or of another Python"


def missing_module(error: Exception) -> str:
    """The module of another package that an import failed for; "" for one of ours, and for any other error."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    return "" if name == "orchgate" else name


NOWHERE = ("", 0, 0)


class OrchgateError(Exception):
    """Something could not be checked. Carries what happened and the next thing to do.

    `exit_code` is 3: the gate does not know. It is never used for "the change is refused". For programs, `kind` says
    what kind of error it is, and `place` in which file, line and column something is wrong, where that is known.
    """

    exit_code = 3
    kind = "could_not_check"
    place = NOWHERE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(OrchgateError):
    """The command line is wrong."""

    exit_code = 2
    kind = "usage"


class ConfigError(OrchgateError):
    """The configuration is wrong; the message names the place and the dotted path of the key.

    `others` are what else is wrong with it, as messages with hints and places.
    """

    exit_code = 2
    kind = "configuration"

    def __init__(
        self,
        message: str,
        hint: str = "",
        others: tuple[tuple[str, str, tuple[str, int, int]], ...] = (),
        place: tuple[str, int, int] = NOWHERE,
    ) -> None:
        super().__init__(message, hint)
        self.others = others
        self.place = place


class GitError(OrchgateError):
    """git is missing, refused, or answered something we cannot read."""

    kind = "git"


class NotARepository(GitError):
    """The current folder is in no repository."""

    kind = "not_a_repository"


class WrongCheckout(GitError):
    """The tree that is here is not the change that is to be judged: nothing about it would be an answer."""

    kind = "wrong_checkout"


class Unreadable(OrchgateError):
    """One file of the snapshot cannot be read: too large, not a file, vanished, not text."""

    kind = "unreadable"

    def __init__(self, path: str, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.path = path


class TooLarge(Unreadable):
    """A file of more bytes than anybody wants to read at once."""

    kind = "too_large"


class Vanished(Unreadable):
    """A file that was there a moment ago."""

    kind = "vanished"

    def __init__(self, path: str) -> None:
        super().__init__(path, "vanished before it could be read", "run the check again")


class KeptElsewhere(Unreadable):
    """A file of which only a pointer is here, such as one of Git LFS: nobody here can judge it."""

    kind = "kept_elsewhere"
