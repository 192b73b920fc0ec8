"""What is sent to another machine, as one pack: the trees of a few commits to be measured, or a history to be judged.

No names go along, and no settings.
"""

from __future__ import annotations

import os

from orchgate.errors import GitError
from orchgate.git.call import NO_HOOKS, Git, scrubbed
from orchgate.git.repository import open_repository
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, suppress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.git.repository import Repository

_SHA1 = 40  # hex digits
MOST_BYTES = 1 << 30  # of a pack, which is held in memory here and on the way


def packed(repository: Repository, commits: Sequence[str]) -> bytes:
    """A pack of these commits and all that is in their trees, nothing of what came before. Raises GitError."""
    listed = repository.git("rev-list", "--objects", "--no-object-names", "--no-walk", *dict.fromkeys(commits))
    pack = repository.git("pack-objects", "--stdout", "-q", "--threads=1", "--delta-base-offset", input=listed)
    if len(pack) > MOST_BYTES:
        raise GitError(
            f"the trees to be measured are {len(pack) >> 20:,} MiB as a pack, more than {MOST_BYTES >> 20:,}",
            "measure here, without --scheduler",
        )
    return pack


def unpacked(folder: str, pack: str, commits: Sequence[str], environ: Mapping[str, str]) -> Repository:
    """A repository in a new folder, of nothing but what was `packed` into the file `pack`, which it takes over.

    Raises OrchgateError.
    """
    bound, git = _bare(folder, len(commits[0]), environ)
    # Before the pack: whoever looks for the parents of these commits is told that there are none.
    files.create(os.path.join(folder, "shallow"), "".join(f"{one}\n" for one in dict.fromkeys(commits)).encode("ascii"))
    files.make_folders(os.path.join(folder, "objects", "pack"))
    inside = os.path.join(folder, "objects", "pack", "pack-sent.pack")
    os.replace(pack, inside)
    git("index-pack", inside)
    return open_repository(folder, bound)


def _bare(folder: str, id_digits: int, environ: Mapping[str, str]) -> tuple[dict[str, str], Git]:
    """An empty repository that no configuration of this machine reaches, and its git. Raises OrchgateError."""
    files.make_folders(folder)
    bound = {**scrubbed(environ), "GIT_DIR": folder, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    git = Git(folder, bound, NO_HOOKS)
    kind = "sha1" if id_digits == _SHA1 else "sha256"
    git("init", "--quiet", "--bare", f"--object-format={kind}", "--template=")
    return bound, git


class CommitHistory(NamedTuple):
    """All that a commit stands on: the pack, where it is cut off, and how long an id is."""

    pack: bytes
    shallow: tuple[str, ...]
    id_digits: int


def history(repository: Repository, head: str) -> CommitHistory:
    """A commit with its history as it is here: what is missing here is missing there, too. Raises GitError."""
    options = ("--revs", "--stdout", "-q", "--delta-base-offset", "--missing=allow-any")
    pack = repository.git("pack-objects", *options, input=f"{head}\n".encode("ascii"))
    if len(pack) > MOST_BYTES:
        message = f"the history is {len(pack) >> 20:,} MiB as a pack, more than {MOST_BYTES >> 20:,}"
        raise GitError(message, "scan here, without --scheduler")
    cut = files.read(os.path.join(repository.git_dir, "shallow"), MOST_BYTES).decode() if repository.shallow else ""
    return CommitHistory(pack, tuple(cut.split()), len(head))


def restored(folder: str, pack: str, sent: CommitHistory, environ: Mapping[str, str]) -> None:
    """Makes a repository of a history whose pack is in a file. It may be done again where it was interrupted.

    Raises OrchgateError.
    """
    _, git = _bare(folder, sent.id_digits, environ)
    if sent.shallow:
        files.replace(os.path.join(folder, "shallow"), "".join(f"{one}\n" for one in sent.shallow).encode("ascii"))
    inside = os.path.join(folder, "objects", "pack", "pack-sent.pack")
    files.make_folders(os.path.dirname(inside))
    with suppress(FileExistsError):
        os.link(pack, inside)
    git("index-pack", inside)
