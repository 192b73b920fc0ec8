"""`.orchgate/.gitattributes`: how git merges what is kept there, said by a line that travels with the files."""

from __future__ import annotations

import os

from orchgate.lib import files

FILE = ".gitattributes"
_MOST = 1 << 20  # bytes


def tell(folder: str, line: str) -> None:
    """Adds a line unless there is one for its file, whatever somebody decided there. Raises WriteError.

    Nobody else may change the folder meanwhile.
    """
    path = os.path.join(folder, FILE)
    if os.path.islink(path):  # git obeys none
        return
    try:
        text = files.read(path, _MOST)
    except FileNotFoundError:
        text = b""
    except OSError as error:
        raise files.failure(path, error) from error
    known = [words[0] for words in map(bytes.split, text.splitlines()) if words]
    if line.split(maxsplit=1)[0].encode() not in known:
        start = text if not text or text.endswith(b"\n") else text + b"\n"
        files.replace(path, start + line.encode() + b"\n")
