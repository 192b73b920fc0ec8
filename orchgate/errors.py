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


class OrchgateError(Exception):
    """Something could not be checked. Carries what happened and the next thing to do.

    `exit_code` is 3: the gate does not know. It is never used for "the change is refused".
    """

    exit_code = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(OrchgateError):
    """The command line is wrong."""

    exit_code = 2


class ConfigError(OrchgateError):
    """The configuration is wrong; the message names the place and the dotted path of the key.

    `others` are what else is wrong with it, as messages with hints.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "", others: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message, hint)
        self.others = others


class GitError(OrchgateError):
    """git is missing, refused, or answered something we cannot read."""


class WrongCheckout(GitError):
    """The tree that is here is not the change that is to be judged: nothing about it would be an answer."""


class Unreadable(OrchgateError):
    """One file of the snapshot cannot be read: too large, not a file, vanished, not text."""

    def __init__(self, path: str, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.path = path


class TooLarge(Unreadable):
    """A file of more bytes than anybody wants to read at once."""


class Vanished(Unreadable):
    """A file that was there a moment ago."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "vanished before it could be read", "run the check again")


class KeptElsewhere(Unreadable):
    """A file of which only a pointer is here, such as one of Git LFS: nobody here can judge it."""
