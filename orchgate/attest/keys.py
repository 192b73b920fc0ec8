"""The key that signs: which one it is, and signatures by it.

`ssh-keygen` reads the key, asks for its passphrase on the terminal, or asks the agent; nothing of that passes through
here.
"""

from __future__ import annotations

import glob
import os

from orchgate.attest import ssh
from orchgate.errors import OrchgateError, UsageError, quoted
from orchgate.lib import files, process
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from orchgate.attest.ssh import Blob
    from orchgate.git.call import Git
    from orchgate.lib.process import Completed

SIGN_SECONDS = 300.0  # a passphrase is typed, or a security key is touched, meanwhile
_LITERAL = ("key::", "ssh-", "ecdsa-", "sk-")  # how git's setting begins that holds a public key and not its file
_AT_ONCE = 100  # messages that one process signs
# What reading a key may need: the agent, whoever asks for a passphrase, a library for security keys.
_NEEDED = (
    *("PATH", "HOME", "USER", "LOGNAME", "TERM", "LD_LIBRARY_PATH", "SSH_AUTH_SOCK", "SSH_AGENT_PID"),
    *("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "SSH_SK_PROVIDER", "SSH_SK_HELPER", "SSH_PKCS11_HELPER"),
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
)
_HINT = "orchgate evidence sign --key FILE"


class CannotSign(OrchgateError):
    """The key could not be used."""


class NamedKey(NamedTuple):
    """A key as it was named: a file of a private key, or of a public one that an agent holds; or a public key."""

    file: str
    public: bytes = b""


def named(given: str, git: Git | None) -> NamedKey:
    """The key of an option, else the one with which git signs. Raises UsageError."""
    if given:
        return _of_file(given, "--key")
    if git is None or _setting(git, "gpg.format") != "ssh":
        raise UsageError("no key is named, and git does not sign with an SSH key", _suggestion())
    value = _setting(git, "user.signingkey", "--type=path")
    if not value:
        raise UsageError("git signs with SSH keys, but user.signingkey names none", _suggestion())
    if value.startswith(_LITERAL):
        return NamedKey("", value.removeprefix("key::").encode("utf-8", "surrogateescape") + b"\n")
    return _of_file(os.path.join(git.cwd or "", value), "user.signingkey")


def _setting(git: Git, name: str, *options: str) -> str:
    return os.fsdecode(git.attempt("config", *options, "--get", name).stdout).removesuffix("\n")


def _of_file(path: str, source: str) -> NamedKey:
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise UsageError(f"{source}: there is no key at {path}", _suggestion())
    return NamedKey(os.path.abspath(path))


def _suggestion() -> str:
    """A command with a key that is in its usual place, as far as there is one."""
    folder = os.path.join(os.path.expanduser("~"), ".ssh")
    public = sorted(glob.glob(f"{glob.escape(folder)}/id_*.pub"))
    key = next((path.removesuffix(".pub") for path in public if os.path.exists(path.removesuffix(".pub"))), "")
    return f"orchgate evidence sign --key {quoted(key)}" if key else "ssh-keygen -t ed25519 makes a key; then: " + _HINT


class Signer:
    """Signs with a key, within a block; its files are gone afterwards. Raises CannotSign."""

    def __init__(self, key: NamedKey, environ: Mapping[str, str]) -> None:
        self._key = key
        self._env = ssh.environment(environ, _NEEDED) | {"LC_ALL": "C"}
        self._folder = ssh.PrivateFolder()
        self.public = b""
        self.fingerprint = ""

    def __enter__(self) -> Self:
        self._folder.__enter__()
        try:
            self._path = self._key.file or self._folder.write("key.pub", self._key.public)
            self.public = self._public()
            self.fingerprint = ssh.fingerprint(self.public) if self.public else ""
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.__exit__()

    def _public(self) -> bytes:
        """The public key, as far as it can be known without a passphrase; else b""."""
        for path in (f"{self._path}.pub", self._path):
            try:
                lines = files.read(path, 1 << 16).splitlines()
            except OSError:
                continue
            if found := next((key for key in map(ssh.key_in, lines) if key), b""):
                return found
        return b""

    @property
    def needs_touch(self) -> bool:
        """Whether a security key has to be touched for each signature."""
        return b"sk-" in self.public[:32]

    def sign(self, messages: Sequence[bytes]) -> list[Blob]:
        """A signature for each message, by one process for many: a passphrase is asked for once."""
        found: list[Blob] = []
        for start in range(0, len(messages), _AT_ONCE):
            found += self._signed(messages[start : start + _AT_ONCE])
        return found

    def _signed(self, messages: Sequence[bytes]) -> list[Blob]:
        paths = [self._folder.write(f"{number}", message) for number, message in enumerate(messages)]
        for path in paths:
            if os.path.exists(f"{path}.sig"):
                os.unlink(f"{path}.sig")
        self._call("-Y", "sign", "-n", ssh.NAMESPACE, "-f", self._path, *paths)
        try:
            blobs = [ssh.blob_of(ssh.unarmored(files.read(f"{path}.sig", 1 << 16))) for path in paths]
        except (OSError, ValueError) as error:
            raise CannotSign(f"{ssh.PROGRAM} made no signature that can be read: {error}") from error
        with ssh.Checker((), os.environ) as checker:
            for blob, message in zip(blobs, messages, strict=True):
                if blob.namespace != ssh.NAMESPACE or not checker.holds(blob, message):
                    raise CannotSign(f"{ssh.PROGRAM} made a signature that does not hold", "run it again")
        return blobs

    def _call(self, *options: str) -> Completed:
        try:
            # In our own group: it asks for a passphrase on our terminal.
            done = process.run(
                (ssh.PROGRAM, *options), env=self._env, timeout=SIGN_SECONDS, own_group=False, cwd=self._folder.path
            )
        except process.ProgramMissing as error:
            raise CannotSign(f"nothing can be signed: {error.message}", ssh.INSTALL) from error
        if done.timed_out:
            raise CannotSign(f"{ssh.PROGRAM} waited {SIGN_SECONDS:.0f} seconds for a passphrase or a key", "ssh-add")
        if done.code != 0:
            raise CannotSign(*self._why(done.stderr))
        return done

    def _why(self, stderr: bytes) -> tuple[str, str]:
        """What ssh-keygen complains about, and what may be done."""
        words = [line.strip("@ \r") for line in os.fsdecode(stderr).splitlines()]
        said = [line for line in words if line and not line.startswith(("Signing file", "Enter passphrase"))]
        key = self._key.file or "the key of user.signingkey"
        what = f"{key} could not be used: {said[-1] if said else 'ssh-keygen gives no reason'}"
        if "UNPROTECTED PRIVATE KEY FILE" in os.fsdecode(stderr):
            return f"{key} could not be used: others may read it", f"chmod 600 {quoted(key)}"
        if "passphrase" in os.fsdecode(stderr):
            return what, f"ssh-add {quoted(key)}, or run it on a terminal"
        return what, f"ssh-keygen -l -f {quoted(key)}" if self._key.file else "ssh-add -l shows what the agent holds"
