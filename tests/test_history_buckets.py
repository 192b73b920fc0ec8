"""A history in a bucket: servers that answer otherwise than they should, and a real one that two machines write to."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.errors import OrchgateError
from orchgate.history.objects.addresses import StoreAddress
from orchgate.history.objects.buckets import BucketObjects
from orchgate.history.objects.shape import ReadOnlyStore, VanishedPart
from tests.histories import Clones, clones, line, write_lines
from tests.repo import ORCHGATE
from tests.runs import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.repo import Repo

BUCKET = StoreAddress("s3", "runs", "team")
SECRET = "hunter2-SECRET"
NAME = "v1/repo=a/month=2026-03/x.parquet"


# Servers that are none, or not as they should be


class Answers(BaseHTTPRequestHandler):
    """Answers everything alike."""

    status, body = 200, b""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.body)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = answer  # noqa: N815 -- names of http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name there
        pass


@contextlib.contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, status: int, body: bytes = b"") -> Iterator[BucketObjects]:
    handler = type("Odd", (Answers,), {"status": status, "body": body})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield bucket(monkeypatch, server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def bucket(monkeypatch: pytest.MonkeyPatch, port: int, seconds: float = 5) -> BucketObjects:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return BucketObjects(BUCKET, seconds, os.environ)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def refused(objects: BucketObjects) -> list[OrchgateError]:
    """What each call says."""
    found = []
    for call in (
        lambda: list(objects.walk("v1/")),
        lambda: objects.folders("v1/"),
        lambda: objects.get(NAME, 100),
        lambda: objects.create(NAME, b"x"),
        lambda: objects.delete(NAME),
    ):
        with pytest.raises(OrchgateError) as error:
            call()
        found.append(error.value)
    assert SECRET not in "".join(one.message + one.hint for one in found)
    assert all("s3://runs/team" in one.message for one in found)
    return found


@pytest.mark.slow
def test_a_server_that_is_not_there_is_named_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all("was not reached" in one.message for one in refused(bucket(monkeypatch, free_port(), 1)))


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        objects = bucket(monkeypatch, silent.getsockname()[1], 0.2)
        with pytest.raises(OrchgateError) as error:
            objects.folders("v1/")

    assert "was not reached" in error.value.message


def test_a_server_that_refuses_is_named_and_where_credentials_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch, 403, b"<Error><Code>AccessDenied</Code></Error>") as objects:
        found = refused(objects)

    assert all("permission denied" in one.message and "AWS_ACCESS_KEY_ID" in one.hint for one in found)
    assert [isinstance(one, ReadOnlyStore) for one in found] == [False, False, False, True, True]


def test_a_bucket_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch, 404, b"<Error><Code>NoSuchBucket</Code></Error>") as objects:
        with pytest.raises(OrchgateError, match="there is no such bucket"):
            list(objects.walk("v1/"))
        with pytest.raises(VanishedPart):
            objects.get(NAME, 100)


@pytest.mark.parametrize("status", [405, 501])
def test_a_server_that_knows_no_condition_is_named(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with answering(monkeypatch, status) as objects, pytest.raises(ReadOnlyStore, match="If-None-Match"):
        objects.create(NAME, b"x")


@pytest.mark.parametrize("body", [b"", b"hello", b"<html>", b"<ListBucketResult><Contents><Key>x</Key>"])
def test_an_answer_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    with answering(monkeypatch, 200, body) as objects, pytest.raises(OrchgateError, match="s3://runs/team"):
        list(objects.walk("v1/"))


def test_an_object_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(monkeypatch, 200, b"x" * 101) as objects, pytest.raises(OrchgateError):
        objects.get(NAME, 100)


def test_what_the_environment_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)

    with pytest.raises(OrchgateError) as error:
        BucketObjects(StoreAddress("az", "box", ""), 1, os.environ)

    assert error.value.message == "az://box: no account is named"
    assert "AZURE_STORAGE_ACCOUNT_NAME" in error.value.hint


# A real server

needs_server = pytest.mark.skipif(
    importlib.util.find_spec("moto") is None, reason="the group `buckets` is not installed"
)


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    port = free_port()
    started = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _is_open(port), 120)
        yield port
    finally:
        started.kill()
        started.wait()


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Bucket:
    """A bucket of the server, and our program with what it needs to get there."""

    def __init__(self, port: int, name: str) -> None:
        self.address = f"s3://{name}/team"
        self.env = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }
        made = urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method="PUT")
        urllib.request.urlopen(made).close()

    def start(self, repo: Repo, verb: str) -> subprocess.Popen[bytes]:
        option = "--from" if verb in ("show", "fetch", "verify") else "--to"
        return subprocess.Popen(
            [ORCHGATE, "history", verb, option, self.address, "--output-format", "json"],
            cwd=repo.root,
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
        )

    def told(self, repo: Repo, verb: str, code: int = 0) -> dict[str, Any]:
        return ended(self.start(repo, verb), code)

    def names(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)
        bucket_name = self.address.split("/")[2]
        bucket = BucketObjects(StoreAddress("s3", bucket_name, "team"), 30, self.env)
        return sorted(one.name for one in bucket.walk("v1/"))


def ended(started: subprocess.Popen[bytes], code: int = 0) -> dict[str, Any]:
    out, _ = started.communicate()
    assert started.returncode == code, out
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.fixture
def made(new_repo: Callable[[str], Repo], tmp_path: Path) -> Clones:
    return clones(new_repo("seed"), tmp_path)


@needs_server
@pytest.mark.slow
def test_two_machines_that_push_at_once_while_a_third_compacts_lose_nothing(
    made: Clones, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(server, "busy")
    for turn in range(4):
        # Some runs are of both, as after a copy of the folder of runs.
        write_lines(made.one, [line(run) for run in range(20 * (turn + 1))])
        write_lines(made.other, [line(run) for run in [*range(20 * turn, 20 * turn + 5), *range(1000, 1020 + turn)]])
        started = [bucket.start(repo, "push") for repo in (made.one, made.other)]
        started.append(bucket.start(made.third, "compact"))
        for one in started:
            ended(one)

    bucket.told(made.third, "compact")
    shown = bucket.told(made.third, "show")
    again = bucket.told(made.one, "push")

    assert sum(row["runs"] for row in shown["rows"]) == 80 + 23
    assert (again["sent_run_count"], again["stored_run_count"]) == (0, 80)
    assert len(bucket.names(monkeypatch)) == 1
    assert bucket.told(made.third, "verify")["run_count"] == 103


@needs_server
@pytest.mark.slow
def test_the_same_push_from_two_places_at_once_arrives_once(
    made: Clones, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(server, "twins")
    for repo in (made.one, made.other):
        write_lines(repo, [line(run) for run in range(30)])

    for one in [bucket.start(repo, "push") for repo in (made.one, made.other)]:
        ended(one)

    (name,) = bucket.names(monkeypatch)
    assert name.startswith("v1/repo=remote/month=2026-03/")
    assert bucket.told(made.third, "show")["run_count"] == 30


@needs_server
@pytest.mark.slow
def test_a_push_to_a_bucket_that_is_killed_is_repeated_without_doubles(
    made: Clones, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(server, "killed")
    months = [line(run, started_at=f"2026-{1 + run % 9:02d}-05T00:00:00Z", completed_at=None) for run in range(90)]
    write_lines(made.one, months)

    for share in (0.2, 0.4, 0.6, 0.8, 0.9):
        began = time.monotonic()
        bucket.start(made.third, "push").communicate()  # how long one takes that has nothing to do
        idle = time.monotonic() - began
        started = bucket.start(made.one, "push")
        time.sleep(idle * 2 * share)
        started.send_signal(signal.SIGKILL)
        started.communicate()
    bucket.told(made.one, "push")

    assert len(bucket.names(monkeypatch)) == 9
    assert bucket.told(made.third, "show")["run_count"] == 90
