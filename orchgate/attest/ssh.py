"""Signatures by SSH keys, made and checked by `ssh-keygen -Y`: what it says by its exit code is what counts.

Its words only say why a signature does not hold. Before its word is taken, it has to tell a good signature from a
bad one.
"""

from __future__ import annotations

import base64
import binascii
import os
from itertools import pairwise

from orchgate.errors import OrchgateError
from orchgate.lib import files, process
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from orchgate.lib.process import Completed

NAMESPACE = "orchgate-evidence"
PROGRAM = "ssh-keygen"
CHECK_SECONDS = 60.0  # no check of a signature takes one; a machine that hangs is found out
INSTALL = "install OpenSSH's client programs, and put ssh-keygen on PATH"
_NEWER = "OpenSSH 8.9 or newer brings an ssh-keygen that can"
_ARMOR = (b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----")
_MAGIC = b"SSHSIG"
_KRL = b"SSHKRL\n\0"
_CERTIFICATE = b"-cert-v01@openssh.com"
# How many fields of a certificate's key follow its nonce, which are those of the key itself.
_KEY_FIELDS = {
    b"ssh-ed25519": 1,
    b"ssh-rsa": 2,
    b"ecdsa-sha2-nistp256": 2,
    b"ecdsa-sha2-nistp384": 2,
    b"ecdsa-sha2-nistp521": 2,
    b"sk-ssh-ed25519@openssh.com": 2,
    b"sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
# What verifying needs of an environment; a library for security keys (SSH_SK_PROVIDER) is not loaded for it.
_NEEDED = ("PATH", "HOME", "LD_LIBRARY_PATH")
# Times in lists of signers that name no zone mean the same everywhere.
_FIXED = {"LC_ALL": "C", "TZ": "UTC"}
_EXPIRED = lazy(rb"has expired|not yet valid|certificate (?:has )?expired|Certificate invalid")
_NAMESPACE = lazy(rb"namespace")
_SELF_TEST = """\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAE
EEpfVEdmUpmcfl4uOZQTpNaWkOjhvJ2Tq9kFwKN+2qJ2R14DXSTcXU0hirPAylWz4iASAX
dxhE2EsqCJAv+uVWfgAAABJvcmNoZ2F0ZS1zZWxmLXRlc3QAAAAAAAAABnNoYTUxMgAAAG
UAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAEoAAAAhAOSArivdTKv6pojWqwjpGNpinHnl
gvikJTioIJ99s12VAAAAIQD+T6itnTxd8JwJ6+9AIUlZTedSzc9oVTr5/aWBolT9Ag==
-----END SSH SIGNATURE-----
"""
_SELF_TEST_SIGNER = (
    'test valid-after="20200101",valid-before="20200103" ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzd'
    "HAyNTYAAABBBKX1RHZlKZnH5eLjmUE6TWlpDo4bydk6vZBcCjftqidkdeA10k3F1NIYqzwMpVs+IgEgF3cYRNhLKgiQL/rlVn4=\n"
)


class CannotVerify(OrchgateError):
    """Nobody here can tell whether a signature holds: that is not a pass."""


class Blob(NamedTuple):
    """A signature as `ssh-keygen` makes it: the public key (or certificate) that it says made it, and what for."""

    key: bytes
    namespace: str
    data: bytes

    @property
    def fingerprint(self) -> str:
        """Of the key, also where a certificate is of it."""
        return fingerprint(self.key)


def blob_of(data: bytes) -> Blob:
    """Raises ValueError for what is not a signature of SSH."""
    fields = _fields(data[len(_MAGIC) + 4 :]) if data.startswith(_MAGIC) else iter(())
    try:
        key, namespace = next(fields), next(fields)
        _, hash_name, signature = next(fields), next(fields), next(fields)
        kind = next(_fields(key))
    except StopIteration:
        raise ValueError("is not a signature of SSH") from None
    if int.from_bytes(data[len(_MAGIC) : len(_MAGIC) + 4]) != 1 or not (hash_name and signature and kind):
        raise ValueError("is not a signature of SSH of version 1")
    return Blob(key, namespace.decode("utf-8", "backslashreplace"), data)


def _fields(data: bytes) -> Iterator[bytes]:
    """The texts that follow each other in a blob, each behind its length; ends where one is cut off."""
    at = 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        if at + 4 + size > len(data):
            return
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


class Certificate(NamedTuple):
    """The key that was certified, and the seconds since the epoch from which and before which that holds."""

    key: bytes
    valid_after: int
    valid_before: int


def certificate_of(blob: bytes) -> Certificate | None:
    """None for a plain key, and for a certificate of a kind that nobody knows."""
    fields = list(_fields(blob))
    kind = fields[0].removesuffix(_CERTIFICATE) if fields else b""
    count = _KEY_FIELDS.get(kind)
    if not count or kind == fields[0] or len(fields) < 2 + count:
        return None
    parts = [kind, *fields[2 : 2 + count]]
    # Behind the nonce and the key: a serial number, what it certifies, and two texts, which are its id and its names.
    rest = blob[sum(4 + len(field) for field in fields[: 2 + count]) + 12 :]
    texts = [*_fields(rest)][:2]
    times = rest[sum(4 + len(text) for text in texts) :]
    key = b"".join(len(part).to_bytes(4) + part for part in parts)
    return Certificate(key, int.from_bytes(times[:8]), int.from_bytes(times[8:16])) if len(times) >= 16 else None


def fingerprint(key: bytes) -> str:
    certificate = certificate_of(key)
    digest = base64.b64encode(bytes.fromhex(files.sha256_hex(certificate.key if certificate else key))).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"


def armored(blob: bytes) -> bytes:
    text = base64.b64encode(blob)
    wrapped = (text[at : at + 70] for at in range(0, len(text), 70))
    return b"\n".join((_ARMOR[0], *wrapped, _ARMOR[1], b""))


def unarmored(data: bytes) -> bytes:
    """The blob of a signature file. Raises ValueError."""
    lines = [line.strip() for line in data.split(b"\n") if line.strip()]
    if len(lines) < 3 or (lines[0], lines[-1]) != _ARMOR:
        raise ValueError("is not a signature of SSH")
    try:
        return base64.b64decode(b"".join(lines[1:-1]), validate=True)
    except binascii.Error:
        raise ValueError("is not base64") from None


class SignerMatch(NamedTuple):
    """What a signer's line says about a signature: the names it gives the key, and why it does not where it does not.

    `expired` and `elsewhere` (for other namespaces): what ssh-keygen says where no name holds.
    """

    names: tuple[str, ...] = ()
    expired: bool = False
    elsewhere: bool = False
    revoked: bool = False


class PrivateFolder:
    """A temporary folder that only this user may look into, gone at the end of the block. Raises WriteError."""

    def __init__(self) -> None:
        self.path = ""

    def __enter__(self) -> Self:
        import tempfile

        try:
            self.path = tempfile.mkdtemp(prefix="orchgate-")
        except OSError as error:
            raise files.failure(error.filename or "a temporary folder", error) from error
        return self

    def __exit__(self, *_: object) -> None:
        import shutil

        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, name: str, content: bytes) -> str:
        """The path of the file."""
        path = os.path.join(self.path, name)
        try:
            with open(path, "wb") as file:
                file.write(content)
        except OSError as error:
            raise files.failure(path, error) from error
        return path


def environment(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """What a program gets of an environment. PATH loses what is relative to the current folder, where that lies which
    is judged: no program of it says whether it passes.
    """
    found = {name: environ[name] for name in names if name in environ}
    if "PATH" in found:
        folders = [one for one in found["PATH"].split(os.pathsep) if os.path.isabs(one)]
        found["PATH"] = os.pathsep.join(folders) or os.defpath
    return found


def unreadable_line(content: bytes) -> int:
    """The first line of a list of revoked keys that is no public key; 0 for none, and for what ssh-keygen made."""
    for number, line in enumerate(content.split(b"\n") if not content.startswith(_KRL) else (), 1):
        if (text := line.strip()) and not text.startswith(b"#") and not key_in(text):
            return number
    return 0


class Checker:
    """`ssh-keygen` with a folder for what it reads, which is gone at the end of the block."""

    def __init__(self, revoked: Sequence[bytes], environ: Mapping[str, str]) -> None:
        self._revoked = revoked
        self._env = environment(environ, _NEEDED) | _FIXED
        self._folder = PrivateFolder()
        self._lists: list[str] = []
        self._names: dict[tuple[bytes, bytes], Completed] = {}
        self._tested = False

    def __enter__(self) -> Self:
        self._folder.__enter__()
        try:
            for number, content in enumerate(self._revoked):
                self._lists.append(self._folder.write(f"revoked-{number}", content))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.__exit__()

    def holds(self, blob: Blob, message: bytes, namespace: str = NAMESPACE) -> bool:
        """Whether the key that a signature names made it of this message, whoever has it. Raises CannotVerify."""
        self._test()
        signature = self._folder.write("signature", armored(blob.data))
        return self._call("check-novalidate", "-n", namespace, "-s", signature, given=message).code == 0

    def answer(self, blob: Blob, message: bytes, signer: bytes, at: str) -> SignerMatch:
        """What one line of a list of signers makes of a signature that `holds`. `at`: "", or as `_time` writes it.

        Raises CannotVerify.
        """
        self._test()
        signature = self._folder.write("signature", armored(blob.data))
        signers = self._folder.write("signers", signer + b"\n")
        asked = ("-Overify-time=" + at,) if at else ()
        where = ("-s", signature, "-f", signers)
        # A line's names are the same at all times; whether they hold at this one is asked below, each time.
        found = self._names.get((signer, blob.key)) or self._call("find-principals", *asked, *where)
        if found.code != 0:
            return SignerMatch(expired=bool(_EXPIRED.search(found.stderr)))
        self._names[signer, blob.key] = found
        # What begins with "!" excludes names from a pattern, and is nobody's.
        names = [name for name in os.fsdecode(found.stdout).split("\n") if name and not name.startswith("!")]
        verified = ("verify", *asked, "-n", NAMESPACE, *where)
        return self._verified(names, verified, message)

    def _verified(self, names: Iterable[str], verb: tuple[str, ...], message: bytes) -> SignerMatch:
        held, said, revoked = [], b"", False
        for name in names:
            lists = [f"-r{path}" for path in self._lists] or ["-r/dev/null"]
            done = [self._call(*verb, "-I", name, which, given=message) for which in lists]
            if all(one.code == 0 for one in done):
                held.append(name)
                continue
            said += b"".join(one.stderr for one in done)
            revoked |= bool(self._lists) and self._call(*verb, "-I", name, given=message).code == 0
        if held:
            return SignerMatch(tuple(held))
        return SignerMatch(
            expired=bool(_EXPIRED.search(said)), elsewhere=bool(_NAMESPACE.search(said)), revoked=revoked
        )

    def check_lists(self) -> None:
        """Raises CannotVerify for a list of revoked keys that cannot be read: then no key is known not to be on it."""
        for path, content in zip(self._lists, self._revoked, strict=True):
            if content.startswith(_KRL):
                self._test()
                public = self._folder.write("test.pub", _SELF_TEST_SIGNER.partition(" ")[2].partition(" ")[2].encode())
                if self._call("-Q", "-f", path, public).code not in (0, 1):
                    raise CannotVerify("the list of revoked keys is damaged", "ssh-keygen -Q -l -f revoked_keys")
            elif number := unreadable_line(content):
                raise CannotVerify(f"the list of revoked keys cannot be read: line {number} is not a public key")

    def _test(self) -> None:
        """Raises CannotVerify unless ssh-keygen tells a good signature from a bad one, and knows of times."""
        if self._tested:
            return
        where = ("-s", self._folder.write("test.sig", _SELF_TEST.encode()))
        signers = ("-f", self._folder.write("test.signers", _SELF_TEST_SIGNER.encode()), "-I", "test")
        verb = ("verify", "-n", "orchgate-self-test", *where, *signers)
        good = self._call(*verb, "-Overify-time=20200102", given=b"orchgate")
        if good.code != 0:
            words = os.fsdecode(good.stderr).strip().splitlines()
            raise CannotVerify(
                f"{PROGRAM} cannot verify signatures: {words[0] if words else 'no reason given'}", _NEWER
            )
        if self._call(*verb, "-Overify-time=20200102", given=b"another").code == 0:
            raise CannotVerify(f"{PROGRAM} takes a wrong signature for a good one", f"command -v {PROGRAM}")
        self._tested = True

    def _call(self, verb: str, *options: str, given: bytes = b"") -> Completed:
        """Raises CannotVerify where it is missing, or does not end."""
        argv = (PROGRAM, verb, *options) if verb.startswith("-") else (PROGRAM, "-Y", verb, *options)
        try:
            done = process.run(argv, env=self._env, input=given, timeout=CHECK_SECONDS)
        except process.ProgramMissing as error:
            raise CannotVerify(f"signatures cannot be verified: {error.message}", INSTALL) from error
        if done.timed_out:
            raise CannotVerify(f"{PROGRAM} did not answer within {CHECK_SECONDS:.0f} seconds", "run it again")
        return done


def key_in(line: bytes) -> bytes:
    """The public key on a line of a list of keys or signers, as a blob; b"" for none."""
    words = line.split()
    for kind, text in pairwise(words):
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error:
            continue
        if next(_fields(data), b"") == kind:
            return data
    return b""


def public_text(key: bytes) -> str:
    """A public key as lists of keys have it."""
    return f"{next(_fields(key), b'').decode('ascii', 'replace')} {base64.b64encode(key).decode('ascii')}"
