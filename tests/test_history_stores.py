"""A history in a folder, by the real program: what travels, what is kept here, and what goes wrong."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.errors import UsageError
from orchgate.history.objects import addresses, part_store
from orchgate.history.objects.addresses import StoreAddress
from orchgate.history.objects.buckets import BucketObjects
from orchgate.history.objects.cached import PartCache
from orchgate.history.objects.folders import FolderObjects
from orchgate.history.objects.shape import ReadOnlyStore
from orchgate.history.store import load
from tests.histories import OTHER_MACHINE, Clones, clones, line, record, show, told, write_lines
from tests.repo import ORCHGATE
from tests.runs import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.repo import Repo


@pytest.fixture
def made(new_repo: Callable[[str], Repo], tmp_path: Path) -> Clones:
    return clones(new_repo("seed"), tmp_path)


@pytest.fixture
def shared(tmp_path: Path) -> str:
    """The address of a store that is a folder."""
    (tmp_path / "shared").mkdir()
    return str(tmp_path / "shared")


def parts(folder: str | Path) -> list[Path]:
    return sorted(Path(folder).rglob("*.parquet"))


def kept(repo: Repo) -> list[Path]:
    return parts(repo.root / ".git/orchgate/history")


def runs(repo: Repo, *words: str) -> int:
    return sum(row["runs"] for row in show(repo, "pipeline", *words))


def messages(document: dict[str, Any]) -> str:
    return "\n".join(one["message"] for one in document["problems"])


# What travels


@pytest.mark.slow
def test_the_runs_of_two_machines_are_counted_once_by_a_third(made: Clones, shared: str) -> None:
    record(made.one, times=2)
    record(made.other, env=OTHER_MACHINE)
    record(made.other, "broken", env=OTHER_MACHINE)

    told(made.one, "push", "--to", shared)
    pushed = told(made.other, "push", "--to", f"file://{shared}")
    again = told(made.one, "push", "--to", shared)

    assert (pushed["sent_run_count"], pushed["remote"], pushed["removed_segment_count"]) == (2, None, 0)
    assert (again["sent_run_count"], again["stored_run_count"], again["new_segment_count"]) == (0, 2, 0)
    rows = show(made.third, "pipeline,machine", "--from", shared)
    assert sorted((row["pipeline"], row["runs"], row["succeeded_count"]) for row in rows) == [
        ("broken", 1, 0),
        ("demo", 1, 1),
        ("demo", 2, 2),
    ]
    assert show(made.third, "stage", "--from", shared) == show(made.one, "stage", "--from", shared)


def test_names_say_repository_month_machine_and_hash(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1)])

    told(made.one, "push", "--to", shared)

    (part,) = parts(shared)
    sha256 = hashlib.sha256(part.read_bytes()).hexdigest()
    assert str(part.relative_to(shared)) == (
        f"v1/repo=remote/month=2026-03/0123456789abcdef-{line(1)['run_id']}-{sha256}.parquet"
    )


def test_what_a_folder_shows_is_what_git_shows(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(run, pipeline_id=f"p{run % 3}") for run in range(40)])
    told(made.one, "push")
    told(made.one, "push", "--to", shared)

    by = "repository,pipeline,stage,week,machine"

    assert show(made.third, by, "--from", shared) == show(made.third, by, "--from", "git")


def test_a_dry_run_writes_nothing(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1)])

    would = told(made.one, "push", "--to", shared, "--dry-run")

    assert (would["sent_run_count"], os.listdir(shared)) == (1, [])


@pytest.mark.slow
def test_only_months_that_are_asked_for_are_fetched(made: Clones, shared: str) -> None:
    early = line(1, started_at="2026-01-05T00:00:00Z", completed_at=None)
    write_lines(made.one, [early, line(2)])
    told(made.one, "push", "--to", shared)

    assert runs(made.third, "--from", shared, "--since", "2026-02-01") == 1
    assert [path.parent.name for path in kept(made.third)] == ["month=2026-03"]


@pytest.mark.slow
def test_compaction_makes_parts_few_and_changes_no_number(made: Clones, shared: str) -> None:
    for run in range(4):
        write_lines(made.one, [line(one) for one in range(run + 1)])
        told(made.one, "push", "--to", shared)
    before = show(made.third, "pipeline,stage", "--from", shared)
    old = parts(shared)[0]
    content = old.read_bytes()

    done = told(made.other, "compact", "--to", shared)
    fetched = told(made.third, "fetch", "--from", shared)

    assert (done["removed_segment_count"], done["new_segment_count"], len(parts(shared))) == (4, 1, 1)
    assert (fetched["new_segment_count"], fetched["removed_segment_count"], len(kept(made.third))) == (1, 4, 1)
    assert show(made.third, "pipeline,stage", "--from", shared) == before
    old.write_bytes(content)  # somebody who was offline brings it back
    assert show(made.third, "pipeline,stage", "--from", shared) == before
    assert told(made.one, "push", "--to", shared)["sent_run_count"] == 0


@pytest.mark.slow
def test_parts_that_stand_for_others_take_in_new_ones(made: Clones, shared: str) -> None:
    for run in range(3):
        write_lines(made.one, [line(one) for one in range(run + 1)])
        told(made.one, "push", "--to", shared)
        told(made.one, "compact", "--to", shared)

    assert (len(parts(shared)), runs(made.third, "--from", shared)) == (1, 3)


@pytest.mark.slow
def test_a_push_reads_no_part_that_was_written_before_its_runs_began(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1)])
    told(made.one, "push", "--to", shared)
    (old,) = parts(shared)
    os.utime(old, times=(0, datetime(2026, 3, 1, 5, tzinfo=UTC).timestamp()))

    write_lines(made.other, [line(2)])
    told(made.other, "push", "--to", shared)

    assert [path.name[:50] for path in kept(made.other)] == [f"0123456789abcdef-{line(2)['run_id']}"[:50]]
    assert runs(made.third, "--from", shared) == 2


@pytest.mark.slow
def test_large_parts_are_asked_which_runs_they_hold_and_small_ones_read_with_the_same_answer(
    made: Clones, shared: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_lines(made.one, [line(1), line(2, resumes=2), line(3, completed_at=None, status="failed")])
    told(made.one, "push", "--to", shared)
    write_lines(made.other, [line(2, resumes=1), line(3)])
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    store = part_store.PartStore(FolderObjects(shared), PartCache(str(tmp_path), shared))
    ids = [line(number)["run_id"] for number in (1, 2, 3)]

    def ends(few: int, *, ours: bool = True) -> dict[str, Any]:
        monkeypatch.setattr(part_store, "_FEW_BYTES", few)
        return dict(store.ends(store.names(), lambda _: ours, ids))

    assert ends(-1) == ends(1 << 20)
    assert sorted(ends(-1)) == sorted(ids)
    assert ends(-1, ours=False) == {}


@pytest.mark.slow
def test_compaction_reads_a_large_part_only_where_it_may_stand_for_small_ones(
    made: Clones, shared: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in (1, 2):
        write_lines(made.one, [line(number)])
        told(made.one, "push", "--to", shared)
        write_lines(made.one, [])
    small = {path: path.read_bytes() for path in parts(shared)}
    told(made.third, "compact", "--to", shared)
    (large,) = parts(shared)
    for path, content in small.items():  # as if nobody had taken them away
        path.write_bytes(content)
    monkeypatch.setattr(part_store, "LARGE", large.stat().st_size)

    def batches(written: float) -> list[list[str]]:
        for path in small:
            os.utime(path, times=(0, written))
        store = part_store.PartStore(FolderObjects(shared), PartCache(str(tmp_path), shared))
        return [[os.path.basename(name) for name in names] for names in store.batches()]

    names = sorted(path.name for path in small)
    assert batches(large.stat().st_mtime - 600) == [[*names, large.name]]
    assert batches(large.stat().st_mtime + 600) == [names]


@pytest.mark.slow
def test_what_was_fetched_is_shown_without_asking_anybody(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1), line(2)])
    told(made.one, "push", "--to", shared)
    told(made.one, "push")
    told(made.third, "fetch", "--from", shared)
    told(made.third, "fetch")
    os.rename(shared, f"{shared}-gone")

    assert runs(made.third) == 2  # each once, though both tiers have it
    assert told(made.third, "verify")["segment_count"] == 2


@pytest.mark.slow
def test_parts_that_are_compacted_away_while_somebody_reads_are_read_as_what_stands_for_them(
    made: Clones, shared: str
) -> None:
    for run in range(3):
        write_lines(made.one, [line(one) for one in range(run + 1)])
        told(made.one, "push", "--to", shared)
    reader = part_store.PartStore(FolderObjects(shared), PartCache(str(made.third.root / ".git"), shared))

    listed = list(reader.names())
    told(made.one, "compact", "--to", shared)
    loaded = load(reader, listed)

    assert ([len(one.runs) for one in loaded.segments], loaded.faults) == ([3], ())


# What is kept here


@pytest.mark.slow
def test_no_part_is_fetched_twice_and_a_damaged_one_is(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1)])
    told(made.one, "push", "--to", shared)
    told(made.third, "fetch", "--from", shared)
    (here,) = kept(made.third)
    (there,) = parts(shared)
    content = there.read_bytes()

    here.write_bytes(b"torn")
    assert runs(made.third, "--from", shared) == 1
    assert here.read_bytes() == content
    there.write_bytes(bytes(len(content)))
    assert runs(made.third, "--from", shared) == 1
    assert "has other bytes" in messages(told(made.third, "verify", "--from", shared, code=1))


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "code"), [("show", 3), ("verify", 1)])
def test_a_part_that_was_damaged_here_is_named_and_fetched_again(
    made: Clones, shared: str, verb: str, code: int
) -> None:
    write_lines(made.one, [line(1)])
    told(made.one, "push", "--to", shared)
    told(made.third, "fetch", "--from", shared)
    (here,) = kept(made.third)
    here.write_bytes(bytes(here.stat().st_size))

    assert "was damaged here" in messages(told(made.third, verb, code=code))
    told(made.third, "fetch", "--from", shared)
    assert runs(made.third) == 1


def test_a_damaged_part_that_cannot_be_replaced_here_is_not_read(
    made: Clones, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lines(made.one, [line(1)])
    told(made.one, "push", "--to", shared)
    (there,) = parts(shared)
    cache = PartCache(str(made.third.root / ".git"), shared)
    store = part_store.PartStore(FolderObjects(shared), cache)
    load(store)
    (here,) = kept(made.third)
    here.write_bytes(bytes(here.stat().st_size))

    monkeypatch.setattr(PartCache, "forget", lambda *_: None)
    monkeypatch.setattr(PartCache, "put", lambda *_: None)
    with tempfile.TemporaryDirectory() as scratch:
        ((_, path),) = store.located(list(store.names()), scratch)
        assert Path(str(path)).read_bytes() == there.read_bytes()


@pytest.mark.slow
def test_parts_that_are_kept_here_are_not_read_through_links(made: Clones, shared: str, tmp_path: Path) -> None:
    write_lines(made.one, [line(1)])
    told(made.one, "push", "--to", shared)
    told(made.third, "fetch", "--from", shared)
    (here,) = kept(made.third)
    content = here.read_bytes()
    here.unlink()
    (tmp_path / "elsewhere").write_bytes(content)
    here.symlink_to(tmp_path / "elsewhere")

    assert show(made.third) == []
    assert runs(made.third, "--from", shared) == 1
    assert not here.is_symlink()


def test_a_folder_of_kept_parts_that_leads_elsewhere_is_refused(made: Clones, shared: str, tmp_path: Path) -> None:
    write_lines(made.one, [line(1)])
    (tmp_path / "elsewhere").mkdir()
    (made.one.root / ".git/orchgate").mkdir(exist_ok=True)
    (made.one.root / ".git/orchgate/history").symlink_to(tmp_path / "elsewhere")

    refused = told(made.one, "push", "--to", shared, code=3)

    assert "symbolic link" in refused["error"]["message"]
    assert (os.listdir(tmp_path / "elsewhere"), parts(shared)) == ([], [])


# Addresses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("git", None),
        ("s3://bucket", StoreAddress("s3", "bucket", "")),
        ("S3://bucket/a/b/", StoreAddress("s3", "bucket", "a/b")),
        ("gs://my-bucket/team x", StoreAddress("gs", "my-bucket", "team x")),
        ("az://box", StoreAddress("az", "box", "")),
        ("file:///srv/x/../runs", StoreAddress("file", "", "/srv/runs")),
        ("/srv/runs", StoreAddress("file", "", "/srv/runs")),
        ("./runs", StoreAddress("file", "", "/here/runs")),
        ("../runs", StoreAddress("file", "", "/runs")),
    ],
)
def test_addresses(text: str, found: StoreAddress | None) -> None:
    assert addresses.parse(text, "/here") == found


HIDDEN = "hunter2-SECRET"


@pytest.mark.parametrize(
    "text",
    [
        f"s3://user:{HIDDEN}@bucket/x",
        f"s3://bucket/x?X-Amz-Signature={HIDDEN}",
        f"az://box/{HIDDEN}@x",
        f"https://user:{HIDDEN}@example.com/bucket",
        f"https://account.blob.core.windows.net/box?sig={HIDDEN}",
        f"abfss://box@{HIDDEN}.dfs.core.windows.net/x",
        f"file://user:{HIDDEN}@host/x",
        f"user:{HIDDEN}@host/x",
        f" s3://user:{HIDDEN}@bucket/x",
        f"s3:/user:{HIDDEN}@bucket/x",
        f"https:/{HIDDEN}@example.com/x",
        f"s3://bucket/../{HIDDEN}\n",
        "s3://",
        "s3:///x",
        "s3://bucket/a/../b",
        "gti",
        "s3:bucket",
        f"S3:/{HIDDEN}",
    ],
)
def test_addresses_that_are_none_are_refused_and_never_printed(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        addresses.parse(text, "/here")

    assert HIDDEN not in refused.value.message + refused.value.hint


def test_a_password_in_an_address_is_not_printed(made: Clones) -> None:
    refused = told(made.one, "push", "--to", f"s3://user:{HIDDEN}@bucket/x", code=2)

    assert HIDDEN not in json.dumps(refused)


def plain(monkeypatch: pytest.MonkeyPatch, **environ: str) -> str:
    """Why a bucket of S3 is not used, "" for nothing."""
    try:
        BucketObjects(StoreAddress("s3", "bucket", ""), 1, {"AWS_REGION": "x", **environ})
    except UsageError as error:
        return error.message
    return ""


def test_an_endpoint_without_tls_has_to_be_on_this_machine_or_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        assert plain(monkeypatch, **{name: "http://127.0.0.1:9000"}) == ""
        assert plain(monkeypatch, **{name: "http://localhost:9000"}) == ""
        assert plain(monkeypatch, **{name: "https://example.com"}) == ""
        assert f"{name} is without TLS" in plain(monkeypatch, **{name: "http://example.com"})
        assert f"{name} is without TLS" in plain(monkeypatch, **{name: "http://127.0.0.1.example.com"})
        assert f"{name} is without TLS" in plain(monkeypatch, **{name: "HTTP://localhost:9@example.com"}) or (
            f"{name} holds a name" in plain(monkeypatch, **{name: "HTTP://localhost:9@example.com"})
        )
        assert plain(monkeypatch, **{name: "http://example.com", "AWS_ALLOW_HTTP": "true"}) == ""
        assert HIDDEN not in plain(monkeypatch, **{name: f"https://user:{HIDDEN}@example.com"})


# The configuration


def test_the_store_that_the_default_branch_names_is_used(made: Clones, shared: str) -> None:
    made.one.commit("a store", {"orchgate.toml": f'history.to = "{shared}"\n'})
    made.one.git("push", "-q", "origin", "HEAD")
    write_lines(made.one, [line(1)])

    assert told(made.one, "push")["sent_run_count"] == 1
    assert len(parts(shared)) == 1


def test_a_slash_too_few_is_no_folder() -> None:
    with pytest.raises(UsageError) as refused:
        addresses.parse("s3:/bucket/x", "/here")

    assert refused.value.hint == "write s3://bucket or s3://bucket/prefix"


def test_a_store_that_the_configuration_misspells_is_told_by_its_key(made: Clones) -> None:
    made.one.write("orchgate.toml", 'history.to = "gti"\n')

    assert told(made.one, "push", code=2)["error"]["message"] == "history.to: 'gti': there is no such store"


def test_a_push_of_nothing_says_what_records_a_run(made: Clones, shared: str) -> None:
    for to in ("git", shared):
        notes = told(made.one, "push", "--to", to)["notes"]
        assert [note.rpartition(": ")[2] for note in notes] == ["nothing to send", NEXT]


NEXT = "`orchgate run PIPELINE --task ID` records a run"


def test_a_store_that_only_this_branch_names_is_not_used(made: Clones, shared: str) -> None:
    made.one.commit("another store", {"orchgate.toml": f'history.to = "{shared}"\n'})
    write_lines(made.one, [line(1)])

    for verb in ("push", "compact", "fetch"):
        refused = told(made.one, verb, code=2)
        assert "another store than the default branch says" in refused["error"]["message"]
    assert parts(shared) == []
    assert told(made.one, "push", "--to", shared)["sent_run_count"] == 1  # somebody says so


# What goes wrong


def test_a_folder_that_is_not_there_is_no_empty_history(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1)])

    for words in (("push", "--to"), ("show", "--from"), ("fetch", "--from"), ("verify", "--from")):
        refused = told(made.one, *words, f"{shared}/lost", code=3)
        assert "is not there" in refused["error"]["message"]
    assert not os.path.exists(f"{shared}/lost")


@pytest.fixture
def read_only() -> Iterator[str]:
    """A folder that we may not write to, whoever we are."""
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o555)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(before)
        os.rmdir(folder)


def test_a_folder_that_is_read_only_is_named(read_only: str) -> None:
    objects = FolderObjects(read_only)

    with pytest.raises(ReadOnlyStore, match="Permission denied"):
        objects.create("v1/repo=a/month=2026-03/x.parquet", b"x")
    assert list(objects.walk("v1/")) == []


def test_what_cannot_be_written_to_is_named(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1)])
    Path(shared, "v1").write_text("a file where a folder should be")

    refused = told(made.one, "push", "--to", shared, code=3)

    assert "not a directory" in refused["error"]["message"].lower()
    assert runs(made.one) == 1


def test_what_helps_against_damage_is_said_once(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1), line(2, started_at="2026-04-02T10:00:00Z", completed_at=None)])
    told(made.one, "push", "--to", shared)
    for part in parts(shared):
        part.write_bytes(b"torn")

    shown = made.third.orchgate("history", "show", "--from", shared)

    assert (shown.code, shown.out.count("has other bytes")) == (3, len(parts(shared)))
    assert shown.out.count("hint: where its runs were recorded, `orchgate history push` replaces it") == 1


@pytest.mark.slow
def test_a_part_whose_bytes_are_others_is_named_and_replaced_by_a_push(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1)])
    told(made.one, "push", "--to", shared)
    (part,) = parts(shared)
    content = part.read_bytes()
    part.write_bytes(content[:100])

    shown = told(made.third, "show", "--from", shared, code=3)
    fetched = told(made.third, "fetch", "--from", shared, code=3)
    pushed = told(made.one, "push", "--to", shared)

    assert "has other bytes than its name says" in messages(shown)
    assert (shown["rows"], fetched["new_segment_count"], kept(made.third)) == ([], 0, [])
    assert (pushed["sent_run_count"], part.read_bytes()) == (1, content)
    assert runs(made.third, "--from", shared) == 1


@pytest.mark.slow
def test_what_is_no_part_is_left_alone_and_named(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1), line(2)])
    told(made.one, "push", "--to", shared)
    (part,) = parts(shared)
    (part.parent / "notes.txt").write_text("hello")
    (part.parent / ".orchgate-0123.tmp").write_text("what a writer was killed at")
    Path(shared, "v1/other").mkdir()

    shown = told(made.third, "show", "--from", shared)

    assert (shown["run_count"], "notes.txt" in "".join(shown["notes"])) == (2, True)
    assert (part.parent / "notes.txt").exists()


@pytest.mark.slow
def test_links_in_a_folder_lead_nobody_out_of_it(made: Clones, shared: str, tmp_path: Path) -> None:
    write_lines(made.one, [line(1)])
    told(made.one, "push", "--to", shared)
    elsewhere = tmp_path / "elsewhere"
    os.rename(f"{shared}/v1/repo=remote", elsewhere)
    Path(shared, "v1/repo=remote").symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    write_lines(made.one, [line(2)])

    assert show(made.third, "pipeline", "--from", shared) == []
    refused = told(made.one, "push", "--to", shared, code=3)
    told(made.one, "compact", "--to", shared)

    assert "symbolic link" in refused["error"]["message"]
    assert sorted(elsewhere.rglob("*")) == before


def test_a_pipe_in_the_place_of_a_part_holds_nobody_up(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1)])
    told(made.one, "push", "--to", shared)
    (part,) = parts(shared)
    part.unlink()
    os.mkfifo(part)

    assert show(made.third, "pipeline", "--from", shared) == []


@pytest.mark.slow
def test_two_repositories_that_share_a_name_and_a_folder_are_kept_apart(
    made: Clones, shared: str, new_repo: Callable[[str], Repo]
) -> None:
    stranger = new_repo("stranger")
    stranger.commit("another beginning", {".gitignore": "/.runs/\n"})
    stranger.git("remote", "add", "origin", str(made.remote.root))
    write_lines(stranger, [line(0), line(1)])
    write_lines(made.one, [line(0)])
    told(made.one, "push", "--to", shared)

    assert told(stranger, "push", "--to", shared)["sent_run_count"] == 2
    told(made.third, "compact", "--to", shared)
    shown = told(made.third, "show", "--from", shared, "--by", "repository")

    assert sorted(row["runs"] for row in shown["rows"]) == [1, 2]
    assert all(re.match(r"remote \(roots ", row["repository"]) for row in shown["rows"])


def test_runs_of_a_clock_that_is_days_ahead_are_named_and_kept_out(made: Clones, shared: str) -> None:
    ahead = datetime.now(UTC) + timedelta(days=3)
    write_lines(made.one, [line(1), line(2, started_at=ahead.isoformat(), completed_at=None)])

    pushed = told(made.one, "push", "--to", shared)

    assert (pushed["sent_run_count"], "dated in the future" in messages(pushed)) == (1, True)


def test_without_the_extra_the_command_that_brings_it_is_named(made: Clones, shared: str, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/sitecustomize.py").write_text(
        "import importlib.util\nfind = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'duckdb' else find(name, *rest)\n"
    )

    refused = made.one.orchgate("history", "push", "--to", shared, env={"PYTHONPATH": str(tmp_path / "hidden")})

    assert refused.code == 2
    assert "needs duckdb\n  hint: pip install 'orchgate[history]'" in refused.out


# Killed, and out of room


def begun(repo: Repo, *words: str, preexec: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [ORCHGATE, "history", *words],
        cwd=repo.root,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=preexec,  # noqa: PLW1509 -- no threads here
    )


def kill_when(started: subprocess.Popen[str], folder: str, number: int) -> None:
    """Kills a verb as soon as a folder holds so many parts."""
    until(lambda: len(parts(folder)) >= number or started.poll() is not None)
    started.kill()
    started.communicate()


def in_parts(folder: str) -> list[str]:
    """The ids of the runs that all parts hold."""
    import duckdb

    database = duckdb.connect()
    rows = database.execute(
        f"SELECT run_id FROM read_parquet('{folder}/v1/*/*/*.parquet') WHERE kind = 'run'"
    ).fetchall()
    database.close()
    return sorted(run for (run,) in rows)


@pytest.mark.slow
def test_a_push_that_is_killed_is_repeated_without_doubles(made: Clones, shared: str) -> None:
    several = [line(run, started_at=f"2025-{1 + run % 12:02d}-05T00:00:00Z", completed_at=None) for run in range(240)]
    write_lines(made.one, several)

    for there in (1, 4, 8, 11):
        push = begun(made.one, "push", "--to", shared)
        kill_when(push, shared, there)
    told(made.one, "push", "--to", shared)

    assert in_parts(shared) == sorted(one["run_id"] for one in several)
    assert [path for path in Path(shared).rglob("*") if path.name.startswith(".orchgate")] == []


@pytest.mark.slow
def test_a_compaction_that_is_killed_loses_nothing(made: Clones, shared: str) -> None:
    for run in range(6):
        several = [
            line(one, started_at=f"2026-{1 + one % 3:02d}-05T00:00:00Z", completed_at=None) for one in range(run + 1)
        ]
        write_lines(made.one, several)
        told(made.one, "push", "--to", shared)

    for left in (8, 7, 5, 4):
        compact = begun(made.other, "compact", "--to", shared)
        kill_when(compact, shared, left)
        assert set(in_parts(shared)) == {one["run_id"] for one in several}
    told(made.other, "compact", "--to", shared)

    assert (len(parts(shared)), runs(made.third, "--from", shared)) == (3, 6)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 100, 5_000])
def test_a_full_disk_is_said_and_the_next_push_sends_what_is_missing(made: Clones, shared: str, size: int) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    write_lines(made.one, [line(run, tree=f"{run * 7919:040x}") for run in range(300)])
    before = (made.one.root / ".runs/0001-demo/metrics.json").read_bytes()

    push = begun(made.one, "push", "--to", shared, preexec=limited)
    said, _ = push.communicate()

    assert (push.returncode, "cannot write" in said) == (3, True), said
    assert parts(shared) == []
    assert (made.one.root / ".runs/0001-demo/metrics.json").read_bytes() == before
    assert told(made.one, "push", "--to", shared)["sent_run_count"] == 300


@pytest.mark.slow
def test_a_folder_without_room_for_what_is_kept_here_is_no_fault(made: Clones, shared: str) -> None:
    write_lines(made.one, [line(1)])
    told(made.one, "push", "--to", shared)
    (made.third.root / ".git/orchgate").mkdir(exist_ok=True)
    (made.third.root / ".git/orchgate/history").write_text("a file where a folder should be")

    shown = told(made.third, "show", "--from", shared)

    assert (shown["run_count"], "could not be kept here" in "".join(shown["notes"])) == (1, True)
