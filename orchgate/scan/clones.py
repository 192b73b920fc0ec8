"""Repositories that are brought here to be judged: the newest commit of a branch, with nothing checked out.

One `git fetch` of depth 1 into an empty repository brings every blob of that commit in one answer. A clone without
blobs would ask for each one when it is read; a whole one brings a history that nobody looks at. Neither hooks nor
filters run, nobody is asked for a password, and addresses stand in no configuration.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import tempfile
import time
from urllib.parse import unquote

from orchgate.errors import GitError, OrchgateError
from orchgate.git.call import failed, scrubbed
from orchgate.git.refs import public
from orchgate.lib import locks
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from git import Git, Repo

    from orchgate.scan.values import Judging, UnitSpec

PROTOCOLS = ("https", "ssh", "git", "file", "http")
LARGEST = 4 * 1024 * 1024 * 1024  # bytes of one clone
REF = "refs/orchgate/scan"
PREFIX = "orchgate-scan-"  # of a folder for clones
_TICK = 0.2  # seconds between two looks at a clone that is on its way
_GRACE = 2.0  # seconds that git has to end when it is asked to
_KEPT = 1 << 16  # bytes of what git says
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_AT_HOST = re.compile(r"(?:[^/:@]*@)?([^/:@]*):(?!//)")  # user@host:path
_REF_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_ADDRESS = re.compile(r"(\w+)://[^\s'\"]+")
# No program of anybody's runs because of a clone, and all that arrives is in one pack, whose size is watched.
_SETTINGS = (
    ("core", "hooksPath", os.devnull),
    ("core", "fsmonitor", "false"),
    ("core", "alternateRefsCommand", ":"),
    ("gc", "auto", "0"),
    ("maintenance", "auto", "false"),
    ("fetch", "recurseSubmodules", "false"),
    ("fetch", "unpackLimit", "1"),
    ("transfer", "bundleURI", "false"),
)


def refusal(source: str, ref: str) -> str:
    """Why nobody asks git for this; "" where git may be asked."""
    if not source or source.startswith("-"):
        return "an address that begins with a dash is an option of git" if source else "the address is empty"
    if any(ord(one) < 32 or ord(one) == 127 for one in source + ref):
        return "the address holds control characters"
    if helper := _HELPER.match(source):
        return f"the address asks for a program, {helper[0]}, which is never run"
    if scheme := _SCHEME.fullmatch(source):
        if scheme[1].lower() not in PROTOCOLS:
            return f"protocol {scheme[1]} is not one of {', '.join(PROTOCOLS)}"
        host = unquote(scheme[2].partition("/")[0]).rpartition("@")[2]
        if host.startswith("-"):
            return "a host that begins with a dash is an option of ssh"
    elif not source.startswith(("/", "./", "../")) and (found := _AT_HOST.match(source)) and found[1].startswith("-"):
        return "a host that begins with a dash is an option of ssh"
    if ref and (not _REF_NAME.fullmatch(ref) or ".." in ref or ref.endswith((".lock", "/", "."))):
        return f"{ref[:80]!r} is no name of a branch, a tag or a commit"
    return ""


def is_path(source: str) -> bool:
    """Whether an address is a folder of this machine, as git would see it."""
    if _SCHEME.fullmatch(source) or _HELPER.match(source):
        return False
    return source.startswith(("/", ".")) or not _AT_HOST.match(source)


@contextlib.contextmanager
def brought(judging: Judging, spec: UnitSpec) -> Iterator[str]:
    """The git directory of a clone whose `REF` is to be judged, for as long as it is. Raises OrchgateError."""
    with _folder(judging, spec) as folder:
        _fetch(folder, spec, judging.patience)
        yield folder


@contextlib.contextmanager
def _folder(judging: Judging, spec: UnitSpec) -> Iterator[str]:
    """The folder of a clone: one of our own that goes away again, or the one that is kept for the next time."""
    kept = judging.clones
    if not kept:
        with tempfile.TemporaryDirectory(
            prefix=PREFIX, dir=judging.scratch or None, ignore_cleanup_errors=True
        ) as made:
            yield os.path.join(made, "clone.git")
        return
    name = re.sub(r"[^\w.-]+", "-", spec.unit.rstrip("/").rpartition("/")[2])[:40].strip(".-")
    folder = os.path.join(kept, f"{name or 'clone'}-{sha256_hex(f'{spec.source} {spec.ref}')[:16]}.git")
    os.makedirs(kept, exist_ok=True)
    with open(folder + ".lock", "ab") as held:
        locks.take(held.fileno(), folder + ".lock")
        yield folder


def _fetch(folder: str, spec: UnitSpec, patience: float) -> None:
    """Brings the newest commit of what is to be judged. Raises GitError."""
    from git.exc import GitError as GitPythonError

    for object_format in ("sha1", "sha256"):
        try:
            with _repository(folder, object_format) as repository:
                started = _started(repository, spec)  # which ends git when nobody holds it any more
                assert started.proc is not None
                code, said = _watched(started.proc, folder, patience)
        except (GitPythonError, OSError) as error:
            raise GitError(f"cannot be cloned: {hidden(str(error), spec)}") from error
        if code == 0:
            return
        if b"mismatched algorithms" not in said:
            break
        shutil.rmtree(folder, ignore_errors=True)  # its objects have longer names
    raise GitError(hidden(_reason(said, spec), spec))


def _repository(folder: str, object_format: str) -> Repo:
    """A bare repository, made or as it was left. Raises what GitPython does."""
    from git import Repo

    if os.path.isdir(folder):
        for name in os.listdir(os.path.join(folder, "objects", "pack")):
            if name.startswith("tmp_"):  # of somebody who was killed
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, "objects", "pack", name))
        return Repo(folder, expand_vars=False)
    made = Repo.init(
        folder, expand_vars=False, allow_unsafe_options=True, bare=True, template="", object_format=object_format
    )
    with made.config_writer() as ours:
        for section, name, value in _SETTINGS:
            ours.set_value(section, name, value)
    return made


def _started(repository: Repo, spec: UnitSpec) -> Git.AutoInterrupt:
    options = ("--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--force", "--quiet")
    wanted = f"+{spec.ref or 'HEAD'}:{REF}"
    repository.git.update_environment(**_environ(str(repository.git_dir)))
    started: Git.AutoInterrupt = repository.git.fetch(
        *options, "--end-of-options", spec.source, wanted, as_process=True
    )
    return started


def _environ(folder: str) -> dict[str, str]:
    """What git gets beside the environment of this process, see `forget_repository`."""
    ssh = os.environ.get("GIT_SSH_COMMAND") or "ssh -oBatchMode=yes"
    return {
        "GIT_DIR": folder,
        "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",  # says nothing to whoever asks for a password
        "SSH_ASKPASS": "true",
        "GIT_SSH_COMMAND": ssh,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }


def forget_repository() -> None:
    """Takes out of this process's environment what ties it to a repository: GitPython hands all of it on."""
    kept = scrubbed(os.environ)
    for name in [name for name in os.environ if name not in kept or name.startswith("GIT_TRACE")]:
        del os.environ[name]


def _watched(process: subprocess.Popen[bytes], folder: str, patience: float) -> tuple[int, bytes]:
    """The exit code and what it says. Raises OrchgateError for what takes too long, or too much room."""
    said = bytearray()
    until = time.monotonic() + patience
    try:
        with selectors.DefaultSelector() as selector:
            for stream in filter(None, (process.stdout, process.stderr)):
                selector.register(stream, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select(_TICK):
                    data = os.read(key.fd, _KEPT)
                    if not data:
                        selector.unregister(key.fileobj)
                    said = (said + data)[-_KEPT:]
                if time.monotonic() > until:
                    raise OrchgateError(f"not here after {patience:g} s: given up")
                if _size(folder) > LARGEST:
                    raise OrchgateError(f"is larger than {LARGEST / 1024**3:g} GiB: given up")
        return process.wait(), bytes(said)
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()  # so that git ends what it has started itself
        until = time.monotonic() + _GRACE
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _size(folder: str) -> int:
    """Bytes of the packs, also of those on their way."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(os.path.join(folder, "objects", "pack")) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def _reason(said: bytes, spec: UnitSpec) -> str:
    if b"couldn't find remote ref" in said:
        return f"has no {spec.ref}" if spec.ref else "is empty: its HEAD names no commit"
    return failed(("fetch",), said).message


def hidden(text: str, spec: UnitSpec) -> str:
    """A text without what an address may give away."""
    return _ADDRESS.sub(_public, text.replace(spec.source, spec.unit))


def _public(match: re.Match[str]) -> str:
    if match[1] == "file" and "@" not in match[0]:
        return match[0]
    return public(match[0].rstrip(":")) or f"{match[1]}://…"
