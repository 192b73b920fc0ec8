"""`orchgate config update`: what is fetched, what is refused, what is pinned anew and what that changes."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import shutil
import ssl
import subprocess
import threading
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from orchgate.commands.config.fetched import FetchError, fetch
from orchgate.commands.config.update import lines, looked_at, repinned, write
from orchgate.config.load import load_work_tree
from orchgate.config.shared.layers import kept
from orchgate.config.source import Source
from orchgate.errors import ConfigError, OrchgateError
from orchgate.git.snapshot import FolderSnapshot
from tests.published import valid
from tests.repo import ORCHGATE, PRE_COMMIT, Repo, init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

STRICT = "[diff-budget]\nmax-lines = 400\n"
STRICTER = "[diff-budget]\nmax-lines = 300\n"
LOOSER = "[diff-budget]\nmax-lines = 500\n"
ADDRESS = "https://example.org/policy.toml"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def pinned(place: str, text: str) -> str:
    return f"{place}#sha256={sha256(text)}"


def own(root: Path, *entries: str, rest: str = "") -> None:
    listed = ", ".join(f'"{one}"' for one in entries)
    (root / "orchgate.toml").write_text(f"# ours\nextends = [{listed}] # shared\n{rest}")


def serving(contents: Mapping[str, str]) -> Callable[[str], bytes]:
    """A fetch of what is at some addresses."""

    def fetched(address: str) -> bytes:
        if address not in contents:
            raise FetchError(f"{address}: the server answered 404")
        return contents[address].encode()

    return fetched


NOWHERE = serving({})


# What an update does


def test_what_is_not_here_is_fetched_and_kept(tmp_path: Path) -> None:
    own(tmp_path, pinned(ADDRESS, STRICT))

    update = looked_at(str(tmp_path), serving({ADDRESS: STRICT}), accept=False, everything=False)
    write(str(tmp_path), update)

    assert [one.state for one in update.entries] == ["fetched"]
    assert (tmp_path / kept(sha256(STRICT))).read_text() == STRICT
    assert load_work_tree(str(tmp_path)).origin("diff-budget.max-lines") == f"shared {ADDRESS}"


def test_what_is_here_is_not_asked_for(tmp_path: Path) -> None:
    own(tmp_path, pinned(ADDRESS, STRICT))
    write(str(tmp_path), looked_at(str(tmp_path), serving({ADDRESS: STRICT}), accept=False, everything=False))

    update = looked_at(str(tmp_path), NOWHERE, accept=False, everything=False)

    assert (update.entries[0].state, update.writes) == ("as pinned", {})
    with pytest.raises(FetchError):
        looked_at(str(tmp_path), NOWHERE, accept=False, everything=True)


def test_what_is_here_and_damaged_is_fetched_again(tmp_path: Path) -> None:
    own(tmp_path, pinned(ADDRESS, STRICT))
    path = tmp_path / kept(sha256(STRICT))
    path.parent.mkdir(parents=True)
    path.write_text(LOOSER)

    write(str(tmp_path), looked_at(str(tmp_path), serving({ADDRESS: STRICT}), accept=False, everything=False))

    assert path.read_text() == STRICT


def test_what_is_something_else_is_named_and_not_kept(tmp_path: Path) -> None:
    own(tmp_path, pinned(ADDRESS, STRICT))

    update = looked_at(str(tmp_path), serving({ADDRESS: LOOSER}), accept=False, everything=False)

    assert (update.is_behind, update.writes) == (True, {})
    assert list(lines(update, written=True)) == [f"{ADDRESS}: is not what is pinned: its SHA-256 is {sha256(LOOSER)}"]


def test_what_is_pinned_stays_while_there_is_something_else(tmp_path: Path) -> None:
    own(tmp_path, pinned(ADDRESS, STRICT))
    write(str(tmp_path), looked_at(str(tmp_path), serving({ADDRESS: STRICT}), accept=False, everything=False))

    update = looked_at(str(tmp_path), serving({ADDRESS: LOOSER}), accept=False, everything=True)

    assert (update.is_behind, update.writes, update.removes) == (True, {}, ())


def test_a_pin_is_not_written_before_what_it_names(tmp_path: Path) -> None:
    own(tmp_path, ADDRESS)
    before = (tmp_path / "orchgate.toml").read_text()
    (tmp_path / ".orchgate").mkdir()
    (tmp_path / ".orchgate/extends").write_text("a file\n")

    with pytest.raises(OrchgateError):
        write(str(tmp_path), looked_at(str(tmp_path), serving({ADDRESS: STRICT}), accept=True, everything=False))

    assert (tmp_path / "orchgate.toml").read_text() == before


def test_accepting_pins_what_is_there_and_says_what_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(STRICT + "max-files = 9\n[review]\nmax-age-days = 9\n")
    own(tmp_path, pinned("p.toml", path.read_text()), rest="\n[diff-budget]\nmax-files = 5 # few\n")
    shutil.copytree(tmp_path, tmp_path / "committed")
    path.write_text(LOOSER + "max-files = 3\n[review]\nmax-age-days = 5\n")

    committed = FolderSnapshot(str(tmp_path / "committed"))
    update = looked_at(str(tmp_path), NOWHERE, accept=True, everything=False, committed=committed)
    write(str(tmp_path), update)

    assert [(one.key, one.direction) for one in update.differences] == [
        ("review.max-age-days", "stricter"),
        ("diff-budget.max-lines", "looser"),
    ]
    assert update.exceeded == ("diff-budget.max-files is looser than p.toml: raised from 3 to 5",)
    written = (tmp_path / "orchgate.toml").read_text()
    assert written.startswith(f'# ours\nextends = ["{pinned("p.toml", path.read_text())}"] # shared\n')
    assert written.endswith("max-files = 5 # few\n")


def test_what_is_not_pinned_yet_is_pinned(tmp_path: Path) -> None:
    own(tmp_path, ADDRESS)
    with pytest.raises(ConfigError, match="is not pinned"):
        looked_at(str(tmp_path), serving({ADDRESS: STRICT}), accept=False, everything=False)

    update = looked_at(str(tmp_path), serving({ADDRESS: STRICT}), accept=True, everything=False)
    write(str(tmp_path), update)

    assert load_work_tree(str(tmp_path)).top.extends == (pinned(ADDRESS, STRICT),)
    assert list(lines(update, written=True))[-1] == "  git add .orchgate/extends orchgate.toml"


def test_what_nothing_names_any_more_goes_and_nothing_else(tmp_path: Path) -> None:
    own(tmp_path, pinned(ADDRESS, STRICT))
    write(str(tmp_path), looked_at(str(tmp_path), serving({ADDRESS: STRICT}), accept=False, everything=False))
    (tmp_path / ".orchgate/extends/notes.txt").write_text("mine\n")

    update = looked_at(str(tmp_path), serving({ADDRESS: STRICTER}), accept=True, everything=False)
    write(str(tmp_path), update)

    assert update.removes == (kept(sha256(STRICT)),)
    assert sorted(os.listdir(tmp_path / ".orchgate/extends")) == sorted([f"{sha256(STRICTER)}.toml", "notes.txt"])


def test_a_file_of_ours_that_lies_among_them_stays(tmp_path: Path) -> None:
    path = kept(sha256(STRICT))
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(STRICTER)
    own(tmp_path, pinned(path, STRICT))

    write(str(tmp_path), looked_at(str(tmp_path), NOWHERE, accept=True, everything=False))

    assert load_work_tree(str(tmp_path)).top.extends == (pinned(path, STRICTER),)


def test_what_cannot_be_read_is_not_pinned(tmp_path: Path) -> None:
    own(tmp_path, pinned(ADDRESS, STRICT))
    before = (tmp_path / "orchgate.toml").read_text()

    for wrong in ("<!DOCTYPE html>", "nope = 1\n", "extends = []\n", "a = \0", "[diff-budget]\nmax-lines = 'x'\n"):
        with pytest.raises(ConfigError, match=rf"^{ADDRESS}:"):
            looked_at(str(tmp_path), serving({ADDRESS: wrong}), accept=True, everything=False)

    assert ((tmp_path / "orchgate.toml").read_text(), (tmp_path / ".orchgate").exists()) == (before, False)


def test_a_file_that_is_gone_or_a_link_is_not_pinned(tmp_path: Path) -> None:
    (tmp_path / "q.toml").write_text(STRICT)
    (tmp_path / "p.toml").symlink_to("q.toml")
    own(tmp_path, "p.toml")
    with pytest.raises(ConfigError, match="reached through a symbolic link"):
        looked_at(str(tmp_path), NOWHERE, accept=True, everything=False)

    own(tmp_path, "gone.toml")
    with pytest.raises(ConfigError, match=r"extends\[0\]: there is no file gone\.toml"):
        looked_at(str(tmp_path), NOWHERE, accept=True, everything=False)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    root = tmp_path / "repo"
    root.mkdir()
    own(root, pinned(ADDRESS, STRICT))
    (root / ".orchgate").symlink_to(tmp_path / "elsewhere")

    update = looked_at(str(root), serving({ADDRESS: STRICT}), accept=False, everything=False)
    with pytest.raises(OrchgateError, match="reached through a symbolic link"):
        write(str(root), update)

    assert os.listdir(tmp_path / "elsewhere") == []


def test_line_ends_are_kept_as_git_keeps_them(tmp_path: Path) -> None:
    own(tmp_path, pinned(ADDRESS, STRICT))

    update = looked_at(str(tmp_path), serving({ADDRESS: STRICT.replace("\n", "\r\n")}), accept=False, everything=False)

    assert update.writes == {kept(sha256(STRICT)): STRICT.encode()}


def test_nothing_to_update_is_said(tmp_path: Path) -> None:
    assert list(lines(looked_at(str(tmp_path), NOWHERE, accept=False, everything=True), written=False)) == [
        "there is no configuration file: extends nothing"
    ]


@pytest.mark.parametrize(
    ("text", "below"),
    [
        ("extends = ['a.toml']\n", ()),
        ('extends = ["a.toml#sha256=0"]\n', ()),
        ('"extends" = [ # one\n  "a.toml", # two\n]\n', ()),
        ("[tool.orchgate]\nextends = ['a.toml'] # x\n[other]\nextends = ['a.toml']\n", ("tool", "orchgate")),
        ("tool = { orchgate = { extends = ['a.toml'] } }\n", ("tool", "orchgate")),
        ("tool.orchgate.extends = ['a.toml']\n", ("tool", "orchgate")),
    ],
)
def test_a_pin_is_replaced_where_it_stands(text: str, below: tuple[str, ...]) -> None:
    table: Any = tomllib.loads(text)
    for name in below:
        table = table[name]

    found = repinned(Source("f", table, text, below), ["1" * 64])

    assert found.text.count("1" * 64) == 1
    assert found.table == {"extends": [f"a.toml#sha256={'1' * 64}"]}
    assert found.text.count("#") >= text.replace("#sha256", "").count("#")


def test_what_cannot_be_replaced_in_place_is_left_to_people() -> None:
    text = "extends = ['''a.toml''']\n"

    with pytest.raises(ConfigError, match="cannot be rewritten in place"):
        repinned(Source("f", tomllib.loads(text), text), ["1" * 64])


# What is fetched, from a real server


class Server(NamedTuple):
    port: int
    certificate: Path
    answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]]
    asked: list[str]

    def address(self, path: str = "/policy.toml") -> str:
        return f"https://localhost:{self.port}{path}"

    def has(self, path: str, content: str) -> str:
        self.answers[path] = lambda handler: answer(handler, 200, content.encode())
        return self.address(path)


def answer(handler: http.server.BaseHTTPRequestHandler, code: int, content: bytes = b"", **headers: str) -> None:
    handler.send_response(code)
    for name, value in {"Content-Length": str(len(content)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def missing(handler: http.server.BaseHTTPRequestHandler) -> None:
    answer(handler, 404)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on loopback with a certificate of its own."""
    if not shutil.which("openssl"):
        pytest.skip("nothing here makes certificates")
    folder = tmp_path_factory.mktemp("server")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    named = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    made = ("openssl", "req", "-x509", *kind, *named, "-keyout", str(key), "-out", str(certificate))
    subprocess.run(made, check=True, capture_output=True)
    answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            with contextlib.suppress(OSError):
                answers.get(self.path, missing)(self)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients go away on purpose
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield Server(server.server_address[1], certificate, answers, asked)
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, trusted, and asked without the proxies of this machine."""
    running.answers.clear()
    running.asked.clear()
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(running.certificate))
    return running


def said_of(address: str, **limits: Any) -> str:
    with pytest.raises(FetchError) as caught:
        fetch(address, **limits)
    assert caught.value.exit_code == 3
    return caught.value.message.removeprefix(f"{address}: ")


def test_what_is_at_an_address_is_fetched(server: Server) -> None:
    assert fetch(server.has("/policy.toml", STRICT)) == STRICT.encode()


def test_an_answer_may_lead_elsewhere_on_https(server: Server) -> None:
    there = server.has("/new.toml", STRICT)
    server.answers["/old.toml"] = lambda handler: answer(handler, 302, Location=there)

    assert fetch(server.address("/old.toml")) == STRICT.encode()


@pytest.mark.parametrize(
    "there",
    ["http://localhost:1/p", "file:///etc/hostname", "ftp://localhost/p", "data:,x", "https://u:hunter2@localhost/p"],
)
def test_and_nowhere_else(server: Server, there: str) -> None:
    server.answers["/policy.toml"] = lambda handler: answer(handler, 302, Location=there)

    said = said_of(server.address())

    assert "hunter2" not in said
    assert said.startswith(("leads to an address that is not https://", "the server answered 302"))


def test_an_answer_that_leads_in_a_circle_is_given_up(server: Server) -> None:
    server.answers["/policy.toml"] = lambda handler: answer(handler, 302, Location=server.address())

    assert said_of(server.address()) == "the server answered 302"
    assert len(server.asked) < 12


@pytest.mark.parametrize("code", [401, 403, 404, 429, 500, 503])
def test_what_is_no_answer_says_its_code(server: Server, code: int) -> None:
    server.answers["/policy.toml"] = lambda handler: answer(handler, code, b"\x1b[31mlook", WWW_Authenticate="Basic")

    assert said_of(server.address()) == f"the server answered {code}"


def _huge(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"#" * 1024)


def _cut_off(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"[a]\n")


def test_a_huge_answer_is_not_read_to_its_end(server: Server) -> None:
    server.answers["/policy.toml"] = _huge

    assert said_of(server.address(), limit=10_000) == "is larger than 10000 bytes"


def test_an_answer_that_is_cut_off_is_none(server: Server) -> None:
    server.answers["/policy.toml"] = _cut_off

    assert said_of(server.address()).startswith(("ended after 4 of 100 bytes", "cannot be read"))


def test_an_answer_in_another_encoding_is_none(server: Server) -> None:
    server.answers["/policy.toml"] = lambda handler: answer(handler, 200, b"x", Content_Encoding="gzip")

    assert said_of(server.address()) == "the answer is encoded as gzip, which nobody asked for"


def test_a_server_that_never_ends_its_answer_is_given_up(server: Server) -> None:
    ended = threading.Event()

    def drop(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not ended.wait(0.02):
            handler.wfile.write(b"X-More: 1\r\n"[:1])
            handler.wfile.flush()

    server.answers["/policy.toml"] = drop
    try:
        assert said_of(server.address(), seconds=0.2) in {
            "does not answer in time, or not to the end",
            "does not answer in time",
        }
    finally:
        ended.set()


def test_a_certificate_that_nobody_signed_is_not_trusted(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")

    assert said_of(server.has("/policy.toml", STRICT)).startswith("its certificate is not trusted: self")
    assert server.asked == []


def test_a_certificate_of_another_name_is_not_trusted(server: Server) -> None:
    address = server.has("/policy.toml", STRICT).replace("localhost", "127.0.0.1")

    assert said_of(address).startswith("its certificate is not trusted: ")


def test_where_nobody_listens_is_said(server: Server) -> None:
    assert said_of("https://localhost:1/policy.toml").startswith("cannot be reached: ")


def test_the_proxy_of_the_environment_is_asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:hunter2@localhost:1")
    monkeypatch.setenv("no_proxy", "")

    said = said_of(server.has("/policy.toml", STRICT))

    assert (said.startswith("cannot be reached: "), "hunter2" in said, server.asked) == (True, False, [])


def test_only_https_is_spoken(server: Server) -> None:
    for address in (f"http://localhost:{server.port}/policy.toml", "file:///etc/hostname", "data:,x"):
        assert said_of(address)
    assert server.asked == []


# Commands


@pytest.mark.slow
def test_two_repositories_share_one_policy(server: Server, tmp_path: Path) -> None:
    """With real git and pre-commit: one adopts it, one is looser and refused, and a new policy reaches both."""
    address = server.has("/policy.toml", STRICT)
    first, second = (init(tmp_path / name) for name in ("first", "second"))
    for repo in (first, second):
        _hooked(repo)
        repo.stage("orchgate.toml", f'extends = ["{address}"]\n')
        assert repo.orchgate("check").code == 2
        assert repo.orchgate("config", "update", "--accept").code == 0
        repo.git("add", "-A")
        repo.git("commit", "-qm", "adopt")
    asked = len(server.asked)

    second.stage("orchgate.toml", (second.root / "orchgate.toml").read_text() + "[diff-budget]\nmax-lines = 900\n")
    refused = second.attempt("git", "commit", "-m", "looser")
    second.git("checkout", "HEAD", "--", "orchgate.toml")
    first.stage("a.py", "x = 1\n" * 350)
    passed = first.attempt("git", "commit", "-m", "large")
    assert (refused.code, f"diff-budget.max-lines is looser than {address}" in refused.out) == (1, True)
    assert (passed.code, len(server.asked)) == (0, asked)  # no check asked anybody

    server.has("/policy.toml", STRICTER)
    behind = second.orchgate("config", "update", "--check")
    accepted = second.orchgate("config", "update", "--accept")
    second.git("add", "-A")
    second.git("commit", "-qm", "stricter")
    second.stage("a.py", "x = 1\n" * 350)
    too_large = second.attempt("git", "commit", "-m", "large")

    assert (behind.code, "is not what is pinned" in behind.out) == (1, True)
    assert "  stricter: diff-budget.max-lines: 400 -> 300" in accepted.out
    assert (too_large.code, "DIF001" in too_large.out) == (1, True)
    assert first.orchgate("config", "update").code == 0  # what is pinned is here


def _hooked(repo: Repo) -> None:
    hook = f"""\
repos:
- repo: local
  hooks:
  - {{id: orchgate, name: orchgate, entry: {ORCHGATE} check, language: system, always_run: true, pass_filenames: false}}
"""
    repo.write(".pre-commit-config.yaml", hook)
    assert repo.attempt(PRE_COMMIT, "install").code == 0


@pytest.mark.slow
def test_the_command_says_what_it_did_as_json(server: Server, repo: Repo) -> None:
    repo.write("orchgate.toml", f'extends = ["{server.has("/policy.toml", STRICT)}"]\n')

    documents = [
        json.loads(repo.orchgate("config", "update", *options, "--output-format", "json").out)
        for options in (("--accept", "--dry-run"), ("--accept",), ("--check",), ())
    ]

    for one in documents:
        valid(one, "config-update")
    assert [one["shared"][0]["state"] for one in documents] == ["pinned", "pinned", "as_pinned", "as_pinned"]
    assert [len(one["written"]) for one in documents] == [0, 2, 0, 0]


@pytest.mark.slow
def test_an_update_without_a_network_changes_nothing_and_says_so(server: Server, repo: Repo) -> None:
    address = server.has("/policy.toml", STRICT)
    repo.write("orchgate.toml", f'extends = ["{address}"]\n')
    repo.orchgate("config", "update", "--accept")
    before = (repo.root / "orchgate.toml").read_text()
    server.answers.clear()

    gone = repo.orchgate("config", "update", "--accept")
    both = repo.orchgate("config", "update", "--accept", "--check")

    assert (gone.code, "the server answered 404" in gone.out) == (3, True)
    assert (both.code, "exclude each other" in both.out) == (2, True)
    assert (repo.root / "orchgate.toml").read_text() == before
    assert repo.orchgate("config", "update").code == 0
    assert repo.orchgate("config", "show").code == 0


@pytest.mark.slow
def test_a_bare_repository_has_nothing_to_update(tmp_path: Path) -> None:
    bare = init(tmp_path / "bare", "--bare")

    assert bare.orchgate("config", "update").code == 2
