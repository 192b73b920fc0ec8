"""The stored baseline as a value and as text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.lib import files
from orchgate.verdict import baseline, baseline_facts
from orchgate.verdict.baseline import (
    KEPT,
    MAX_BYTES,
    PATH,
    Baseline,
    BaselineError,
    BaselineRecord,
    parse,
    render,
    stale,
)
from orchgate.verdict.baseline import seconds as at
from tests.baselines import DAY, HERE, THERE, record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.repo import Repo

SCHEMA = json.loads(files.read_data("schemas", "baseline.json"))


def of(*records: BaselineRecord) -> Baseline:
    found = Baseline()
    for one in records:
        found = found.put(one)
    return found


# Text and back

WORDS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=5)
LINES = st.lists(WORDS, min_size=1, max_size=2).map(" ".join)
NAMES = LINES.filter(baseline_facts.is_pipeline)
MOMENTS = st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='milliseconds')}Z")
NUMBERS = st.one_of(
    st.integers(min_value=1, max_value=10**18), st.floats(min_value=1e-9, max_value=1e18, allow_subnormal=False)
)
COMMITS = st.sampled_from((None, "b" * 40, "c" * 64))


@st.composite
def records(draw: st.DrawFn) -> BaselineRecord:
    few = st.lists(NUMBERS, min_size=2, max_size=2)
    samples = few.map(lambda values: tuple(values * 5))
    metrics = st.sampled_from(("cpu_seconds", "wall_seconds", "processes", "build.custom size"))
    return BaselineRecord(
        pipeline=draw(NAMES),
        fingerprint=draw(st.sampled_from((HERE, THERE))),
        pipeline_hash=draw(st.sampled_from("0a")) * 64,
        commit=draw(COMMITS),
        tree=draw(COMMITS),
        dirty=draw(st.booleans()),
        recorded_at=draw(MOMENTS),
        recorded_by=draw(LINES),
        reason=draw(LINES),
        machine=draw(st.fixed_dictionaries({"cores": st.floats(min_value=0.01, max_value=512), "cpu_model": LINES})),
        samples=draw(st.dictionaries(metrics, samples, min_size=1)),
        run_ids=draw(st.lists(LINES, max_size=2).map(tuple)),
    )


BASELINES = st.lists(records(), max_size=2).map(lambda made: of(*made, *(one._replace(reason="again") for one in made)))


@pytest.mark.slow
@given(BASELINES)
def test_what_is_written_is_what_is_read(baseline: Baseline) -> None:
    assert parse(render(baseline)) == baseline


@pytest.mark.slow
@given(BASELINES)
def test_what_is_written_keeps_the_schema(baseline: Baseline) -> None:
    jsonschema.validate(json.loads(render(baseline)), SCHEMA)


@pytest.mark.slow
@given(BASELINES, st.randoms(use_true_random=False))
def test_the_order_of_the_lines_does_not_matter(baseline: Baseline, random: Any) -> None:
    facts = list(json.loads(render(baseline)).items())
    random.shuffle(facts)

    assert render(parse(json.dumps(dict(facts)).encode())) == render(baseline)


def test_the_text_is_one_fact_a_line() -> None:
    lines = render(of(record())).decode().splitlines()

    assert [line.partition(": ")[0].strip() for line in lines[1:-1]] == [
        f'"demo.{HERE}.{name}"'
        for name in (
            "commit",
            "dirty",
            "machine.cores",
            "machine.cpu_model",
            "pipeline_hash",
            "reason",
            "recorded_at",
            "recorded_by",
            "samples.cpu_seconds",
            "samples.manifest_writes",
            "tree",
        )
    ] + ['"version"']


def test_the_text_is_the_same_whatever_came_first() -> None:
    one, other = record(), record("build", THERE)

    assert render(of(one, other)) == render(of(other, one))


def test_a_whole_number_is_written_the_same_by_everybody() -> None:
    whole = record(samples={"processes": (3.0,) * 10})

    assert render(of(whole)) == render(of(record(samples={"processes": (3,) * 10})))


def test_an_empty_baseline_is_a_file_too() -> None:
    assert parse(b'{"version": 1}') == Baseline()


def test_names_are_readable_in_every_script() -> None:
    assert "prüfung".encode() in render(of(record("prüfung")))


# Records side by side


def test_a_record_is_found_by_pipeline_and_machine_class() -> None:
    assert of(record(), record(fingerprint=THERE), record("build")).of("demo", THERE) == record(fingerprint=THERE)


def test_there_is_no_record_for_another_machine_class() -> None:
    assert of(record()).of("demo", THERE) is None


def test_a_superseded_record_stays_in_the_history() -> None:
    new = record(recorded_at="2026-03-02T12:00:00.000Z", reason="worth it")

    assert parse(render(of(record(), new))).history == {("demo", HERE): (record(),)}


def test_the_history_is_bounded() -> None:
    many = [record(recorded_at=f"2026-03-{day:02}T12:00:00.000Z") for day in range(1, 20)]

    assert [one.recorded_at[8:10] for one in of(*many).history["demo", HERE]] == ["18", "17", "16", "15", "14"]


def test_what_was_superseded_last_stays_however_old_its_samples() -> None:
    many = [record(recorded_at=f"2026-03-{day:02}T12:00:00.000Z") for day in range(10, 19)]
    old = record(recorded_at="2020-01-01T00:00:00.000Z")
    history = of(*many, old, record()).history["demo", HERE]

    assert (old in history, len(history)) == (True, KEPT)


def test_a_dropped_record_stays_in_the_history() -> None:
    assert of(record()).drop("demo", HERE) == Baseline({}, {("demo", HERE): (record(),)})


def test_a_purged_record_is_gone() -> None:
    assert of(record()).drop("demo", HERE, purge=True) == Baseline()


# What is wrong with a file that somebody edited


def edited(**changes: Any) -> bytes:
    """The text of a record with other values, None takes a line out; `__` stands for `.`."""
    facts = json.loads(render(of(record())))
    for name, value in changes.items():
        key = f"demo.{HERE}.{name.replace('__', '.')}"
        facts[key] = value
        if value is None:
            del facts[key]
    return json.dumps(facts, allow_nan=True).encode()


EDITS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"samples__cpu_seconds": [float("nan")] * 10}, "samples.cpu_seconds: sample 1: expected a finite number, got NaN"),
    ({"samples__cpu_seconds": [1] * 9 + [float("inf")]}, "samples.cpu_seconds: sample 10: expected a finite number"),
    ({"samples__cpu_seconds": [-1] * 10}, "samples.cpu_seconds: sample 1: expected a number from 0 to 1e+18, got -1"),
    ({"samples__cpu_seconds": []}, "samples.cpu_seconds: expected 10 to 1000 samples, got none"),
    ({"samples__cpu_seconds": [1] * 3}, "samples.cpu_seconds: expected 10 to 1000 samples, got 3"),
    ({"samples__cpu_seconds": ["1"] * 10}, "samples.cpu_seconds: sample 1: expected a finite number, got '1'"),
    ({"samples__cpu_seconds": [True] * 10}, "samples.cpu_seconds: sample 1: expected a finite number, got true"),
    ({"samples__cpu_seconds": [10**400] * 10}, "samples.cpu_seconds: sample 1: expected a finite number, got a huge"),
    ({"samples__cpu_seconds": 1}, "samples.cpu_seconds: expected a list of samples, got 1"),
    ({"samples__wall_seconds": [0] * 10}, "samples.wall_seconds: sample 1: has to be above 0"),
    ({"samples__success_rate": [2] * 10}, "samples.success_rate: sample 1: expected a fraction from 0 to 1, got 2"),
    ({"samples__wall_seconds": [1] * 12}, "samples.wall_seconds: holds 12 samples, the other metrics of these runs 10"),
    ({"samples__cpu_seconds": None, "samples__manifest_writes": None}, "samples: is missing"),
    ({"sampels__cpu_seconds": [1] * 10}, "sampels.cpu_seconds: is unknown: did you mean samples?"),
    ({"reson": "x"}, "reson: is unknown: did you mean reason?"),
    ({"machine__cpu": "x"}, "machine.cpu: is unknown"),
    ({"machine__cores": "2"}, "machine.cores: expected a number, got '2'"),
    ({"commit": "HEAD"}, "commit: expected a commit's id or null, got 'HEAD'"),
    ({"dirty": 0}, "dirty: expected true or false, got 0"),
    ({"reason": ""}, "reason: expected one line of text of at most 500 characters, got ''"),
    ({"reason": "a\nb"}, "reason: expected one line of text"),
    ({"reason": {"a": 1}}, "reason: expected one line of text of at most 500 characters, got an object"),
    ({"reason": None}, "reason: is missing"),
    ({"recorded_at": "2026-02-30T12:00:00Z"}, "recorded_at: expected a time such as"),
    ({"pipeline_hash": "short"}, "pipeline_hash: expected 64 hexadecimal digits"),
    ({"run_ids": "one"}, "run_ids: expected a list of run ids"),
    ({"history__2026-02-30T12:00:00Z__reason": "x"}, "history.2026-02-30T12:00:00Z.commit: is missing"),
)


@pytest.mark.parametrize(("changes", "message"), EDITS, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_wrong_is_named_with_its_path(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BaselineError) as error:
        parse(edited(**changes))

    assert error.value.message.startswith(f"demo.{HERE}.{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "line 1: is not JSON: Expecting value"),
        (b"[]", "expected one object of facts, got a list of 0"),
        (b"{}", "version: is missing"),
        (b'{"version": 2}', "version: expected 1, got 2"),
        (b'{"version": true}', "version: expected 1, got true"),
        (b'{"version": 1, "demo": {}}', "demo: is unknown; a key is PIPELINE.MACHINE-CLASS.NAME"),
        (b'{"version": 1', "line 1: is not JSON"),
        (b'{\n  "version": 1,\n}', "line 3: is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"version": 1, "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is not JSON"),
        (b'{"version": ' + b"1" * 5_000 + b"}", "is not JSON"),
        (b" " * (MAX_BYTES + 1), f"is {MAX_BYTES + 1} bytes long, limit {MAX_BYTES}"),
    ],
)
def test_what_is_no_baseline_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(BaselineError) as error:
        parse(text)

    assert error.value.message.startswith(message)


def test_a_newer_version_asks_for_an_upgrade() -> None:
    with pytest.raises(BaselineError) as error:
        parse(b'{"version": 2}')

    assert "pip install --upgrade orchgate" in error.value.hint


def test_the_error_knows_the_file() -> None:
    with pytest.raises(BaselineError) as error:
        parse(b"", "candidate.json")

    assert error.value.path == "candidate.json"


def test_several_faults_are_counted() -> None:
    with pytest.raises(BaselineError, match=r"reason: is missing \(and 1 more fault"):
        parse(edited(reason=None, tree=None))


@pytest.mark.slow
def test_a_file_full_of_faults_is_not_read_to_its_end() -> None:
    facts = ",".join(f'"x{number}": 1' for number in range(100_000))

    with pytest.raises(BaselineError, match=r"and 19 more faults"):
        parse(f'{{"version": 1, {facts}}}'.encode())


def test_a_key_that_stands_there_twice_with_different_values_is_refused() -> None:
    twice = render(of(record())).replace(b'  "version"', f'  "demo.{HERE}.reason": "other",\n  "version"'.encode())

    with pytest.raises(BaselineError, match=r"reason: occurs twice with different values"):
        parse(twice)


def test_saying_the_same_twice_harms_nobody() -> None:
    line = f'  "demo.{HERE}.dirty": false,\n'.encode()

    assert parse(render(of(record())).replace(line, line + line)) == of(record())


@pytest.mark.parametrize("changes", [changes for changes, _ in EDITS[:12] if "samples__cpu_seconds" in changes][2:6])
def test_the_schema_refuses_it_too(changes: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(edited(**changes)), SCHEMA)


# Merging


def recorded_on(repo: Repo, branch: str, one: BaselineRecord) -> None:
    repo.git("checkout", "--quiet", "-b", branch, "main")
    baseline.update(str(repo.root), lambda known: known.put(one))
    repo.git("add", "-A")
    repo.commit(branch)


def merged(repo: Repo) -> int:
    return repo.attempt("git", "merge", "--quiet", "--no-edit", "one").code


@pytest.mark.slow
def test_two_branches_with_the_first_records_of_two_machines_merge(repo: Repo) -> None:
    repo.commit()
    recorded_on(repo, "one", record())
    recorded_on(repo, "two", record(fingerprint=THERE))

    assert (merged(repo), baseline.load(str(repo.root))) == (0, of(record(), record(fingerprint=THERE)))


@pytest.mark.slow
def test_two_branches_that_add_machines_side_by_side_merge(repo: Repo) -> None:
    baseline.update(str(repo.root), lambda known: known.put(record()))
    repo.git("add", "-A")
    repo.commit()
    one, two = record(fingerprint=THERE), record(fingerprint=THERE[::-1].replace("0", "1"))
    recorded_on(repo, "one", one)
    recorded_on(repo, "two", two)

    assert (merged(repo), baseline.load(str(repo.root))) == (0, of(record(), one, two))


@pytest.mark.slow
def test_two_branches_that_supersede_records_of_two_machines_merge(repo: Repo) -> None:
    for fingerprint in (HERE, THERE):
        baseline.update(str(repo.root), lambda known, at=fingerprint: known.put(record(fingerprint=at)))  # type: ignore[misc]
    repo.git("add", "-A")
    repo.commit()
    new = {"recorded_at": "2026-03-02T12:00:00.000Z", "reason": "worth it"}
    recorded_on(repo, "one", record(**new))
    recorded_on(repo, "two", record(fingerprint=THERE, **new))

    assert merged(repo) == 0
    assert len(baseline.load(str(repo.root)).history) == 2


@pytest.mark.slow
def test_two_branches_that_record_for_the_same_machine_are_named_not_mixed(repo: Repo) -> None:
    repo.commit()
    recorded_on(repo, "one", record(reason="one"))
    recorded_on(repo, "two", record(reason="two"))
    merged(repo)

    with pytest.raises(BaselineError, match=rf"demo\.{HERE}\.reason: occurs twice with different values"):
        baseline.load(str(repo.root))


@pytest.mark.slow
def test_a_conflict_nobody_resolved_is_named_with_its_line(repo: Repo) -> None:
    repo.commit()
    recorded_on(repo, "one", record(reason="one"))
    recorded_on(repo, "two", record(reason="two"))
    repo.write(".orchgate/.gitattributes", "baseline.json -merge=union\n")
    repo.commit("without the attribute", {".orchgate/.gitattributes": "baseline.json merge\n"})

    assert merged(repo) == 1
    with pytest.raises(BaselineError, match=r"line \d+: an unresolved merge conflict"):
        baseline.load(str(repo.root))


def test_keeping_both_sides_of_a_conflict_by_hand_is_enough(repo: Repo) -> None:
    ours, theirs = (render(of(one)).decode().splitlines()[1:-2] for one in (record(), record(fingerprint=THERE)))
    text = "\n".join(["{", *ours, *theirs, '  "version": 1', "}"]).encode()

    assert parse(text) == of(record(), record(fingerprint=THERE))


# On disk


def test_no_file_is_an_empty_baseline(tmp_path: Path) -> None:
    assert baseline.load(str(tmp_path)) == Baseline()


def test_what_is_written_is_there(tmp_path: Path) -> None:
    baseline.update(str(tmp_path), lambda known: known.put(record()))

    assert (tmp_path / PATH).read_bytes() == render(of(record()))


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    baseline.update(str(tmp_path), lambda known: known.put(record()))

    assert sorted(os.listdir(tmp_path / ".orchgate")) == [".gitattributes", "baseline.json"]


@pytest.mark.parametrize("end", ["\n", ""])
def test_attributes_of_others_stay(tmp_path: Path, end: str) -> None:
    (tmp_path / ".orchgate").mkdir()
    (tmp_path / ".orchgate" / ".gitattributes").write_text(f"*.lock text{end}")
    baseline.update(str(tmp_path), lambda known: known.put(record()))

    assert (tmp_path / ".orchgate" / ".gitattributes").read_text() == "*.lock text\nbaseline.json merge=union\n"


def test_what_somebody_decided_about_merging_stays(tmp_path: Path) -> None:
    (tmp_path / ".orchgate").mkdir()
    (tmp_path / ".orchgate" / ".gitattributes").write_text("baseline.json -merge\n")
    baseline.update(str(tmp_path), lambda known: known.put(record()))

    assert (tmp_path / ".orchgate" / ".gitattributes").read_text() == "baseline.json -merge\n"


def test_a_change_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    baseline.update(str(tmp_path), lambda known: known)

    assert os.listdir(tmp_path) == []


def test_a_broken_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".orchgate").mkdir()
    (tmp_path / PATH).write_bytes(b"{")

    with pytest.raises(BaselineError):
        baseline.update(str(tmp_path), lambda known: known.put(record()))
    assert (tmp_path / PATH).read_bytes() == b"{"


def a_link(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(render(of(record())))
    path.symlink_to("elsewhere")


PLACED: tuple[tuple[Callable[[Path], object], str], ...] = (
    (a_link, "is a symbolic link"),
    (lambda path: path.symlink_to("nowhere"), "is a symbolic link"),
    (lambda path: path.mkdir(), "is a directory, not a regular file"),
    (os.mkfifo, "is a named pipe, not a regular file"),
    (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40), "bytes long, limit"),
)


@pytest.mark.parametrize(("place", "message"), PLACED)
def test_what_is_no_ordinary_file_is_named(tmp_path: Path, place: Callable[[Path], object], message: str) -> None:
    (tmp_path / ".orchgate").mkdir()
    place(tmp_path / PATH)

    with pytest.raises(BaselineError, match=message):
        baseline.load(str(tmp_path))


def test_a_folder_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".orchgate").symlink_to("elsewhere")

    with pytest.raises(BaselineError, match="is a symbolic link"):
        baseline.update(str(tmp_path), lambda known: known.put(record()))


PUT = """
import sys
from orchgate.verdict import baseline
from tests.baselines import record
sys.stdin.read(1)
for number in range(5):
    baseline.update(sys.argv[1], lambda known: known.put(record(f"{sys.argv[2]}-{number}")))
"""


@pytest.mark.slow
def test_two_at_once_do_not_lose_one_anothers_record(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", PUT, str(tmp_path), str(number)], stdin=subprocess.PIPE)
        for number in range(4)
    ]
    for writer in writers:
        writer.communicate(b"x")

    assert len(baseline.load(str(tmp_path)).records) == 20


# Age

NOW = at("2026-03-11T12:00:00Z")  # ten days after


def test_a_fresh_record_is_not_stale() -> None:
    assert stale(record(), NOW, pipeline_hash="a" * 64, machine=HERE) == ""


def test_a_changed_pipeline_makes_it_stale() -> None:
    assert stale(record(), NOW, pipeline_hash="d" * 64) == "is of a pipeline whose definition has changed since"


def test_another_machine_makes_it_stale() -> None:
    reason = f"is of another machine type: {HERE}, this one is {THERE}"

    assert stale(record(), NOW, machine=THERE) == reason


def test_age_makes_it_stale() -> None:
    assert stale(record(), NOW + 85 * DAY, commits_behind=412) == "is 95 days and 412 commits old, more than 90 days"


def test_how_old_is_too_old_is_a_choice() -> None:
    assert stale(record(), NOW, max_days=9) == "is 10 days old, more than 9 days"


def test_a_record_from_the_future_is_not_fresh_for_ever() -> None:
    assert "one of the clocks is wrong" in stale(record(recorded_at="2099-01-01T00:00:00Z"), NOW)
