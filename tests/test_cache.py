"""When a stage is answered from the cache, and everything that makes it run again."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.config.entries import ResultFile
from orchgate.git.repository import Repository, open_repository
from orchgate.git.worktree import blob
from orchgate.result_files.counts import CountedTests
from orchgate.runner.inputs import CacheKey, Keys, why_never
from orchgate.runner.stage_cache import CacheStore, Hit, Miss
from orchgate.runs.stages import Stage
from tests.work import lines_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.repo import Repo

KEY = "ab" * 32
RUN = "2026-01-06T09-26-22-129Z-c2f9cb47"
SUCCESS = Hit(
    "0001-x", RUN, "test", "stages/01-test.log", "12 passed", CountedTests(12, 0, 1, 0, "pytest"), {"ms": 2.5}
)


def stage(*inputs: str, **more: object) -> Stage:
    return Stage("test", "Test", ("pytest",), inputs=inputs)._replace(**more)  # type: ignore[arg-type] # fields by name


@pytest.fixture
def opened(repo: Repo) -> Iterator[Repository]:
    repo.commit(files={"src/a.py": "a\n", "src/b.py": "b\n", "docs/x.md": "x\n", ".gitignore": "*.pyc\nbuild/\n"})
    repository = open_repository(str(repo.root), os.environ)
    yield repository
    repository.close()


@pytest.fixture
def key_of(opened: Repository) -> Callable[..., CacheKey]:
    """The key of a stage as things are now."""

    def key_of(stage: Stage, environ: Mapping[str, str] | None = None, **more: object) -> CacheKey:
        return Keys(opened, [stage], environ or {}).key(stage, **more)  # type: ignore[arg-type] # passed through

    return key_of


# --- what a key depends on


def test_unchanged_inputs_have_the_same_key(key_of: Callable[..., CacheKey]) -> None:
    assert key_of(stage("src/**")) == key_of(stage("src/**"))


def test_a_key_says_how_many_files_stand_behind_it(key_of: Callable[..., CacheKey]) -> None:
    assert key_of(stage("src/**")).files == 2


def test_a_committed_change_of_an_input_changes_the_key(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    before = key_of(stage("src/**"))
    repo.commit(files={"src/a.py": "changed\n"})

    assert key_of(stage("src/**")).value != before.value


@pytest.mark.slow
def test_a_dirty_input_has_the_key_it_will_have_once_committed(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    repo.write("src/a.py", "changed\n")
    dirty = key_of(stage("src/**"))
    repo.commit(files={"src/a.py": "changed\n"})

    assert key_of(stage("src/**")) == dirty


def test_an_untracked_input_has_the_key_it_will_have_once_committed(
    repo: Repo, key_of: Callable[..., CacheKey]
) -> None:
    repo.write("src/new.py", "new\n")
    untracked = key_of(stage("src/**"))
    repo.commit(files={"src/new.py": "new\n"})

    assert key_of(stage("src/**")) == untracked


def test_a_change_that_is_taken_back_brings_the_old_key_back(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    before = key_of(stage("src/**"))
    repo.write("src/a.py", "changed\n")
    repo.write("src/a.py", "a\n")

    assert key_of(stage("src/**")) == before


def test_a_new_time_alone_changes_nothing(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    before = key_of(stage("src/**"))
    os.utime(repo.root / "src/a.py", (1, 1))

    assert key_of(stage("src/**")) == before


def test_other_files_do_not_matter(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    before = key_of(stage("src/**"))
    repo.write("docs/x.md", "changed\n")

    assert key_of(stage("src/**")) == before


def mode(repo: Repo) -> None:
    (repo.root / "src/a.py").chmod(0o755)


def deleted(repo: Repo) -> None:
    (repo.root / "src/a.py").unlink()


def renamed(repo: Repo) -> None:
    (repo.root / "src/a.py").rename(repo.root / "src/c.py")


def became_a_link(repo: Repo) -> None:
    deleted(repo)
    (repo.root / "src/a.py").symlink_to("b.py")


def hidden(repo: Repo) -> None:
    repo.git("update-index", "--assume-unchanged", "src/a.py")
    repo.write("src/a.py", "changed\n")


def skipped(repo: Repo) -> None:
    repo.git("update-index", "--skip-worktree", "src/a.py")
    repo.write("src/a.py", "changed\n")


def intended(repo: Repo) -> None:
    repo.write("src/new.py", "new\n")
    repo.git("add", "--intent-to-add", "src/new.py")


def oddly_named(repo: Repo) -> None:
    repo.write(b"src/\xff\n\x1b'.py", "new\n")


@pytest.mark.parametrize(
    "change",
    [mode, deleted, renamed, became_a_link, hidden, skipped, intended, oddly_named],
    ids=lambda it: it.__name__,
)
def test_every_way_an_input_may_differ_changes_the_key(
    repo: Repo, key_of: Callable[..., CacheKey], change: Callable[[Repo], None]
) -> None:
    before = key_of(stage("src/**"))
    change(repo)

    assert key_of(stage("src/**")).value not in ("", before.value)


@pytest.mark.slow
def test_an_unmerged_input_is_read_from_disk(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    repo.git("checkout", "--quiet", "-b", "other")
    repo.commit(files={"src/a.py": "one\n"})
    repo.git("checkout", "--quiet", "main")
    repo.commit(files={"src/a.py": "two\n"})
    before = key_of(stage("src/**"))
    repo.attempt("git", "merge", "other")

    assert key_of(stage("src/**")).value not in ("", before.value)


def test_what_a_link_leads_to_is_an_input_too(repo: Repo, key_of: Callable[..., CacheKey], tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("1")
    (repo.root / "src/link").symlink_to(tmp_path / "outside")
    before = key_of(stage("src/**"))
    (tmp_path / "outside").write_text("2")

    assert key_of(stage("src/**")).value not in ("", before.value)


def test_a_folder_may_be_named_without_a_wildcard(key_of: Callable[..., CacheKey]) -> None:
    assert [key_of(stage(name)).files for name in ("src", "src/", "./src")] == [2, 2, 2]


def test_a_file_may_be_named_itself(key_of: Callable[..., CacheKey]) -> None:
    assert key_of(stage("src/a.py")).files == 1


def test_an_input_that_is_taken_back_does_not_count(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    inputs = stage("src/**", "!src/generated/**")
    before = key_of(inputs)

    repo.write("src/generated/a.py", "new\n")

    assert key_of(inputs) == before


def test_an_input_that_is_named_again_counts(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    repo.write("src/generated/a.py", "old\n")
    inputs = stage("src/**", "!src/generated/", "src/generated/a.py")
    before = key_of(inputs)

    repo.write("src/generated/a.py", "new\n")

    assert key_of(inputs).value != before.value


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (("$HOME", "!src/**"), "no inputs"),
        (("src/**", "!src/**"), "its inputs exclude every file that they name"),
        (("src/**", "!../x"), "input !../x points outside the repository"),
    ],
)
def test_inputs_of_which_nothing_is_left_have_no_key(
    key_of: Callable[..., CacheKey], inputs: tuple[str, ...], reason: str
) -> None:
    assert key_of(stage(*inputs)) == CacheKey("", reason)


@pytest.mark.parametrize("name", ["./!odd.txt", "\\!odd.txt"])
def test_a_name_that_begins_with_the_mark_can_be_an_input(
    repo: Repo, key_of: Callable[..., CacheKey], name: str
) -> None:
    repo.write("!odd.txt", "old\n")
    before = key_of(stage(name))

    repo.write("!odd.txt", "new\n")

    assert (before.files, key_of(stage(name)).value != before.value) == (1, True)


def test_a_named_file_counts_though_git_ignores_it(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    repo.write("build/out.bin", "1")
    before = key_of(stage("build/out.bin"))
    repo.write("build/out.bin", "2")

    assert key_of(stage("build/out.bin")).value not in ("", before.value)


def test_a_named_file_that_appears_changes_the_key(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    before = key_of(stage("src/**", "setup.cfg"))
    repo.write("setup.cfg", "1")

    assert key_of(stage("src/**", "setup.cfg")).value not in ("", before.value)


def test_ignored_files_below_a_glob_do_not_count(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    before = key_of(stage("src/**"))
    repo.write("src/a.pyc", "compiled")

    assert key_of(stage("src/**")) == before


def test_what_runs_record_is_nobodys_input(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    before = key_of(stage("**"))
    repo.write(".runs/0001-x/metrics.json", "{}")

    assert key_of(stage("**")) == before


def test_what_runs_record_counts_where_it_is_named(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    repo.write("out/0001-x/a.json", "1")
    before = key_of(stage("out/0001-x/**"))
    repo.write("out/0001-x/a.json", "2")

    assert key_of(stage("out/0001-x/**")).value not in ("", before.value)


@pytest.mark.parametrize(
    "change",
    [
        {"argv": ("pytest", "-q")},
        {"argv": (), "shell": "pytest"},
        {"env": {"A": "1"}},
        {"cwd": "src"},
        {"results": (ResultFile("r.xml"),)},
        {"id": "other"},
    ],
    ids=str,
)
def test_another_stage_has_another_key(key_of: Callable[..., CacheKey], change: dict[str, object]) -> None:
    assert key_of(stage("src/**", **change)).value not in ("", key_of(stage("src/**")).value)


@pytest.mark.parametrize(
    "more",
    [{"pipeline": "other"}, {"inherited": {"A": "1"}}, {"needed": (KEY,)}],
    ids=["pipeline", "inherited", "needed"],
)
def test_where_a_stage_runs_is_part_of_its_key(key_of: Callable[..., CacheKey], more: dict[str, object]) -> None:
    assert key_of(stage("src/**"), **more).value not in ("", key_of(stage("src/**")).value)


def test_another_title_is_the_same_stage(key_of: Callable[..., CacheKey]) -> None:
    assert key_of(stage("src/**", title="Other")) == key_of(stage("src/**"))


@pytest.mark.parametrize(
    "names_it",
    [
        stage("src/**", "$CC"),
        stage("src/**", argv=("sh", "-c", "$CC x")),
        stage("src/**", argv=(), shell="${CC:-cc} x"),
    ],
    ids=["inputs", "argv", "shell"],
)
def test_a_variable_that_is_named_counts(key_of: Callable[..., CacheKey], names_it: Stage) -> None:
    values: list[dict[str, str]] = [{"CC": "gcc"}, {"CC": "clang"}, {"CC": ""}, {"PATH": "/"}]

    assert len({key_of(names_it, environ).value for environ in values}) == 4


def test_a_variable_that_is_not_named_does_not_count(key_of: Callable[..., CacheKey]) -> None:
    assert key_of(stage("src/**"), {"CC": "gcc"}) == key_of(stage("src/**"), {"CC": "clang"})


def test_what_the_stage_sets_itself_hides_the_environment(key_of: Callable[..., CacheKey]) -> None:
    sets = stage("src/**", "$CC", env={"CC": "gcc"})

    assert key_of(sets, {"CC": "clang"}) == key_of(sets, {})


# --- what can have no key


@pytest.mark.parametrize(
    ("unsuitable", "reason"),
    [
        (stage(), "no inputs"),
        (stage("$CC"), "no inputs"),
        (stage("src/**", argv=(), pipeline="other"), "a sub-pipeline"),
        (stage("src/**", argv=(), shell="cp x $ORCHGATE_ARTIFACTS"), "its command names the run it is part of"),
    ],
)
def test_some_stages_always_run(unsuitable: Stage, reason: str) -> None:
    assert why_never(unsuitable).startswith(reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing/**", "input nothing/** matches no file known to git"),
        ("build/**", "input build/** matches no file known to git"),
        ("../other/**", "input ../other/** points outside the repository"),
        ("/etc/passwd", "input /etc/passwd points outside the repository"),
    ],
)
def test_inputs_nobody_can_vouch_for_have_no_key(
    repo: Repo, key_of: Callable[..., CacheKey], name: str, reason: str
) -> None:
    repo.write("build/out.bin", "1")

    assert key_of(stage("src/**", name)) == CacheKey("", reason)


def test_a_repository_inside_has_no_key(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    repo.git("init", "--quiet", "src/inner")
    repo.write("src/inner/x", "1")

    assert "src/inner/ is a nested repository" in key_of(stage("src/**")).reason


def test_a_repository_elsewhere_does_not_matter(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    repo.git("init", "--quiet", "docs/inner")

    assert key_of(stage("src/**")).value


@pytest.mark.slow
def test_a_submodule_has_no_key(repo: Repo, new_repo: Callable[[str], Repo], key_of: Callable[..., CacheKey]) -> None:
    other = new_repo("other")
    other.commit(files={"x": "1"})
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.root), "src/sub")

    assert "src/sub is a submodule" in key_of(stage("src/**")).reason


def test_a_link_to_a_folder_has_no_key(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    (repo.root / "src/link").symlink_to("../docs")

    assert key_of(stage("src/**")).reason == "input src/link is a directory, not a regular file"


def test_a_link_that_leads_nowhere_is_an_input_like_any_other(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    (repo.root / "src/link").symlink_to("nowhere")

    assert key_of(stage("src/**")).files == 3


def test_a_link_that_leads_to_itself_has_no_key(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    (repo.root / "src/link").symlink_to("link")

    assert key_of(stage("src/**")).reason.startswith("input src/link cannot be read: ")


def test_a_named_pipe_is_not_waited_for(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    os.mkfifo(repo.root / "src/pipe")

    assert key_of(stage("src/**", "src/pipe")).reason == "input src/pipe is a named pipe, not a regular file"


def test_more_than_is_worth_hashing_has_no_key(
    repo: Repo, key_of: Callable[..., CacheKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchgate.runner.inputs.MAX_HASHED_BYTES", 1000)
    repo.write("src/one", b"x" * 600)
    repo.write("src/two", b"x" * 600)

    assert key_of(stage("src/**")).reason == "input src/two is larger than 400 bytes"


def test_outside_of_a_repository_there_is_no_key() -> None:
    assert "not in a git work tree" in Keys(None, [], {}).key(stage("src/**")).reason


def test_a_broken_index_is_a_reason_and_no_error(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    repo.write(".git/index", b"nonsense")

    assert key_of(stage("src/**")).reason.startswith("git ls-files: ")


# --- asking git once


def test_files_are_listed_once_for_all_stages(repo: Repo, opened: Repository) -> None:
    keys = Keys(opened, [stage("src/**"), stage("docs/**")], {})
    before = keys.key(stage("src/**"))
    repo.write("src/a.py", "changed\n")

    assert keys.key(stage("src/**")) == before


def test_files_are_listed_again_once_a_stage_ran(repo: Repo, opened: Repository) -> None:
    keys = Keys(opened, [stage("src/**")], {})
    before = keys.key(stage("src/**"))
    repo.write("src/a.py", "changed\n")
    keys.forget()

    assert keys.key(stage("src/**")).value not in ("", before.value)


def test_the_index_is_not_written(repo: Repo, key_of: Callable[..., CacheKey]) -> None:
    os.utime(repo.root / "src/a.py", (1, 1))
    before = (repo.root / ".git/index").read_bytes()
    key_of(stage("src/**"))

    assert (repo.root / ".git/index").read_bytes() == before


@pytest.mark.parametrize(("algorithm", "options"), [("sha1", ()), ("sha256", ("--object-format=sha256",))])
@pytest.mark.parametrize("content", [b"", b"x\r\ny", b"x" * 3_000_000], ids=["empty", "line ends", "large"])
def test_an_id_is_the_one_git_gives(
    new_repo: Callable[[str], Repo], algorithm: str, options: tuple[str, ...], content: bytes
) -> None:
    made = new_repo("other")
    made.git("init", "--quiet", *options, "hashed")
    made.write("hashed/file", content)

    found = blob(str(made.root / "hashed/file"), algorithm, limit=1 << 30)

    assert found is not None
    assert found[0] == "100644 " + made.git("-C", "hashed", "hash-object", "--no-filters", "file")


# --- what is remembered


@pytest.fixture
def cache(tmp_path: Path) -> CacheStore:
    """A cache beside a run that really happened."""
    folder = tmp_path / ".runs" / SUCCESS.task_id / "cli" / RUN
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    return CacheStore(str(tmp_path))


def entry(tmp_path: Path) -> Path:
    return tmp_path / ".runs" / ".cache" / f"{KEY}.json"


def test_a_success_is_remembered_with_all_it_found(cache: CacheStore) -> None:
    cache.record(KEY, SUCCESS)

    assert cache.lookup(KEY) == SUCCESS


def test_a_success_without_results_is_remembered(cache: CacheStore) -> None:
    cache.record(KEY, Hit("0001-x", RUN, "test"))

    assert cache.lookup(KEY) == Hit("0001-x", RUN, "test")


def test_what_never_succeeded_is_a_miss(cache: CacheStore) -> None:
    assert cache.lookup(KEY) == Miss("it has not succeeded with these inputs yet")


@pytest.mark.parametrize("key", ["", "ab", "../../etc/passwd", "AB" * 32, KEY + "\n"])
def test_what_is_no_key_is_a_miss(cache: CacheStore, key: str) -> None:
    assert (cache.lookup(key), cache.record(key, SUCCESS)) == (Miss("it has no key"), "it has no key")


def test_a_success_whose_run_is_gone_is_a_miss(cache: CacheStore, tmp_path: Path) -> None:
    cache.record(KEY, SUCCESS)
    (tmp_path / ".runs" / SUCCESS.task_id / "cli" / RUN / "manifest.json").unlink()

    assert cache.lookup(KEY) == Miss(f"the run it came from is gone: {RUN}")


@pytest.mark.slow
def test_an_entry_cut_off_anywhere_is_a_miss(cache: CacheStore, tmp_path: Path) -> None:
    cache.record(KEY, SUCCESS)
    whole = entry(tmp_path).read_bytes()
    answers = []
    for length in range(len(whole)):
        entry(tmp_path).write_bytes(whole[:length])
        answers.append(cache.lookup(KEY))

    assert all(isinstance(answer, Miss) for answer in answers)


@pytest.mark.slow
@given(position=st.integers(0, 2000), byte=st.integers(0, 255))
def test_an_entry_with_any_byte_changed_is_a_miss_or_the_same(
    tmp_path_factory: pytest.TempPathFactory, position: int, byte: int
) -> None:
    root = tmp_path_factory.mktemp("cache")
    (root / ".runs" / SUCCESS.task_id / "cli" / RUN).mkdir(parents=True)
    (root / ".runs" / SUCCESS.task_id / "cli" / RUN / "manifest.json").write_text("{}")
    changed = CacheStore(str(root))
    changed.record(KEY, SUCCESS)
    content = bytearray(entry(root).read_bytes())
    content[position % len(content)] = byte
    entry(root).write_bytes(content)

    assert changed.lookup(KEY) == SUCCESS or isinstance(changed.lookup(KEY), Miss)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"[" * 50_000 + b"\n",
        b"\xff\n",
        b'{"format":"orchgate-cache","version":1}\n',
    ],
    ids=["nothing", "line", "null", "list", "empty", "deep", "bytes", "half"],
)
def test_a_foreign_entry_is_a_miss_with_a_reason(cache: CacheStore, tmp_path: Path, content: bytes) -> None:
    cache.record(KEY, SUCCESS)
    entry(tmp_path).write_bytes(content)

    found = cache.lookup(KEY)

    assert isinstance(found, Miss)
    assert found.reason.startswith("its cache entry cannot be used: ")


def test_an_entry_under_another_key_is_a_miss(cache: CacheStore, tmp_path: Path) -> None:
    cache.record(KEY, SUCCESS)
    other = "cd" * 32
    entry(tmp_path).rename(entry(tmp_path).with_name(f"{other}.json"))

    assert cache.lookup(other) == Miss("its cache entry cannot be used: it was edited, or belongs to another stage")


@pytest.mark.parametrize(
    "forged",
    [
        SUCCESS._replace(log_path="../../../etc/passwd"),
        SUCCESS._replace(log_path="/etc/passwd"),
        SUCCESS._replace(task_id="../x"),
        SUCCESS._replace(task_id=".."),
        SUCCESS._replace(run_id="latest"),
    ],
)
def test_an_entry_that_leads_elsewhere_is_a_miss(cache: CacheStore, forged: Hit) -> None:
    cache.record(KEY, forged)

    assert isinstance(cache.lookup(KEY), Miss)


def test_an_entry_of_another_version_is_a_miss(cache: CacheStore, tmp_path: Path) -> None:
    cache.record(KEY, SUCCESS)
    document = json.loads(entry(tmp_path).read_bytes())
    entry(tmp_path).write_text(json.dumps({**document, "version": 2}) + "\n")

    assert cache.lookup(KEY) == Miss(
        "its cache entry cannot be used: it was written by another version, or by something else"
    )


def test_a_folder_in_place_of_an_entry_is_a_miss(cache: CacheStore, tmp_path: Path) -> None:
    entry(tmp_path).mkdir(parents=True)

    assert isinstance(cache.lookup(KEY), Miss)


def test_a_folder_in_place_of_an_entry_is_a_reason(cache: CacheStore, tmp_path: Path) -> None:
    entry(tmp_path).mkdir(parents=True)

    assert cache.record(KEY, SUCCESS).startswith("cannot be written: ")


def test_a_file_in_place_of_the_folder_is_a_reason(cache: CacheStore, tmp_path: Path) -> None:
    (tmp_path / ".runs" / ".cache").write_text("x")

    assert cache.record(KEY, SUCCESS).startswith("cannot be written: ")


def test_a_failed_write_leaves_nothing_behind(cache: CacheStore, tmp_path: Path) -> None:
    entry(tmp_path).mkdir(parents=True)
    cache.record(KEY, SUCCESS)

    assert [path.name for path in entry(tmp_path).parent.iterdir()] == [entry(tmp_path).name]


def test_more_than_a_small_file_is_not_remembered(cache: CacheStore) -> None:
    assert "limit 65536" in cache.record(KEY, SUCCESS._replace(summary="x" * 70_000))


def keys(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(count)]


def test_the_newest_entries_are_kept(cache: CacheStore, tmp_path: Path) -> None:
    small = CacheStore(str(tmp_path), keep=3)
    for number, key in enumerate(keys(6)):
        small.record(key, SUCCESS)
        os.utime(entry(tmp_path).with_name(f"{key}.json"), (1000 + number, 1000 + number))

    assert [isinstance(small.lookup(key), Hit) for key in keys(6)] == [False, False, False, True, True, True]


def test_what_is_asked_for_stays(cache: CacheStore, tmp_path: Path) -> None:
    small = CacheStore(str(tmp_path), keep=2)
    for number, key in enumerate(keys(2)):
        small.record(key, SUCCESS)
        os.utime(entry(tmp_path).with_name(f"{key}.json"), (1000 + number, 1000 + number))
    small.lookup(keys(1)[0])
    small.record(KEY, SUCCESS)

    assert [isinstance(small.lookup(key), Hit) for key in keys(2)] == [True, False]


def test_what_killed_writers_left_goes_when_room_is_made(cache: CacheStore, tmp_path: Path) -> None:
    small = CacheStore(str(tmp_path), keep=1)
    small.record(KEY, SUCCESS)
    left, fresh = (entry(tmp_path).with_name(f"{KEY}.json.{number}.tmp") for number in (1, 2))
    left.write_text("x")
    fresh.write_text("x")
    os.utime(left, (1, 1))
    small.record("cd" * 32, SUCCESS)

    assert (left.exists(), fresh.exists()) == (False, True)


@pytest.mark.slow
@pytest.mark.parametrize("stages", [1, 5])
def test_an_unchanged_pipeline_is_answered_without_reading_its_files(
    repo: Repo, opened: Repository, cache: CacheStore, stages: int
) -> None:
    """A few lines for each file, whatever the number of stages that share it, and none for what it holds."""
    for number in range(500):
        repo.write(f"src/d{number % 50}/f{number}.py", f"{number}\n" * 100)
    repo.git("add", "--all")
    repo.commit()
    alike = [stage("src/**", "docs/**", id=f"s{number}") for number in range(stages)]

    def answer() -> None:
        asked = Keys(opened, alike, {})
        assert [cache.lookup(asked.key(stage).value) for stage in alike]

    assert lines_run(answer) / 500 < 40
