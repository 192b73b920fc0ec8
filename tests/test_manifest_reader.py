from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchgate.errors import Unreadable
from orchgate.lib.json_data import deeper_than
from orchgate.runs.decode import Flaw, ManifestError, dotted, lines_of, parse, places
from orchgate.runs.run import decode, load
from tests.manifest_samples import PATH, RUN, TASK, encoded, january, june, own
from tests.work import no_hang

if TYPE_CHECKING:
    from pathlib import Path

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def refusal(data: bytes) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        parse(data)
    return caught.value


def test_the_three_formats_give_the_same_run() -> None:
    runs = [decode(encoded(sample)) for sample in (own(), january(), june())]

    assert {(run.task_id, run.run_id, run.status, len(run.stages)) for run in runs} == {(TASK, RUN, "succeeded", 2)}


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (own(), "orchgate"),
        (january(), "codex-2026-01"),
        (june(), "codex-2026-06"),
        ({**january(), "runner": "x"}, "codex-2026-01"),
    ],
)
def test_the_format_is_told_by_the_content(document: dict[str, object], kind: str) -> None:
    assert decode(encoded(document)).format == kind


def test_times_know_their_offset() -> None:
    assert decode(encoded(own())).started_at == datetime.datetime(2026, 1, 6, 9, 26, 23, tzinfo=datetime.UTC)


def test_what_only_the_own_format_records_is_read() -> None:
    run = decode(encoded(own()))

    assert (run.git and run.git.commit, run.stages[0].usage and run.stages[0].usage.processes) == ("1" * 40, 3)


def test_what_older_formats_do_not_record_is_none() -> None:
    run = decode(encoded(january()))

    assert (run.git, run.machine, run.usage, run.stages[0].usage) == (None, None, None, None)


def test_the_last_sign_of_life_is_the_latest_time() -> None:
    run = decode(encoded(january(status="in_progress", completed_at=None, heartbeat_at="2026-01-06T10:00:00Z")))

    assert run.last_sign_of_life.hour == 10


def test_a_run_is_frozen() -> None:
    run = decode(encoded(own()))

    with pytest.raises(AttributeError):
        run.status = "failed"  # type: ignore[misc]


def test_keys_of_the_manifest_cannot_pose_as_ours() -> None:
    assert decode(encoded(january(path="/etc/passwd")), "x/manifest.json").path == "x/manifest.json"


def test_a_loaded_run_knows_where_its_logs_are_now(tmp_path: Path) -> None:
    target = tmp_path / "moved" / "manifest.json"
    target.parent.mkdir()
    target.write_bytes(encoded(january()))

    run = load(str(target))

    assert run.log(run.stages[0]) == str(tmp_path / "moved" / "commands" / "01-compile.ndjson")


def test_own_logs_lie_beside_the_manifest() -> None:
    run = decode(encoded(own()), PATH)

    assert run.log(run.stages[1]) == PATH.replace("manifest.json", "stages/02-test.log")


def test_a_path_that_climbs_out_is_not_within_the_run() -> None:
    run = decode(encoded(own()), PATH)

    assert [run.within(path) for path in ("../x", "a/../../x", "/etc/x", "a/../x")] == [None, None, None, "x"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Flaw.TRUNCATED),
        (b" \n", Flaw.TRUNCATED),
        (b'{"a": "b', Flaw.TRUNCATED),
        (b'{"a": tru', Flaw.TRUNCATED),
        (b"[]", Flaw.SHAPE),
        (b'"x"', Flaw.SHAPE),
        (b"null", Flaw.SHAPE),
        (b"true", Flaw.SHAPE),
        (b'{"a": NaN}', Flaw.NUMBER),
        (b'{"a": [1,Infinity]}', Flaw.NUMBER),
        (b'{"a":-Infinity}', Flaw.NUMBER),
        (b'{"a": 1e999}', Flaw.NUMBER),
        (b'{"a": ' + b"1" * 5000 + b"}", Flaw.NUMBER),
        (b'{"a": 01}', Flaw.SYNTAX),
        (b"{'a': 1}", Flaw.SYNTAX),
        (b'{"a": 1,}', Flaw.SYNTAX),
        (b'{"a": 1} x', Flaw.SYNTAX),
        (b'{"a": "\x01"}', Flaw.SYNTAX),
        (b'{"a": "\xff"}', Flaw.ENCODING),
        (b'{"\xff": 1}', Flaw.ENCODING),
        (b'{"a": "\xed\xa0\x80"}', Flaw.ENCODING),
        (b'{"a": "\\ud83d"}', Flaw.ENCODING),
        (b'{"a": "\\ude00\\ud83d"}', Flaw.ENCODING),
        (b"\xef\xbb\xbf{}", Flaw.ENCODING),
        ('{"a": 1}'.encode("utf-16"), Flaw.ENCODING),
        (b'{"a": 1, "a": 2}', Flaw.DUPLICATE),
        (b'{"a": 1, "\\u0061": 1}', Flaw.DUPLICATE),
        (b'{"a": 1, "a": 1}', Flaw.DUPLICATE),
        (b'{"a":1,"a"\t:2}', Flaw.DUPLICATE),
        (b'{"a": 1, "a"\n:2, "b"\r:3}', Flaw.DUPLICATE),
        (b'{"x": "b\\": ", "y": ": ", "a": 1, "a": 2}', Flaw.DUPLICATE),
        (b'{"x": [{"a" : 1,"b":0, "a"  :1}]}', Flaw.DUPLICATE),
        (b"[" * 65 + b"]" * 65, Flaw.SHAPE),
        (b'{"a":' * 65 + b"1" + b"}" * 65, Flaw.DEPTH),
        (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", Flaw.DEPTH),
        (b'{"a":' + b"[" * 100_000, Flaw.DEPTH),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, Flaw.DEPTH),
        (b'{"a":' * 65 + b"1", Flaw.DEPTH),
    ],
    ids=lambda value: value.name if isinstance(value, Flaw) else repr(value[:24]),
)
def test_what_readers_could_understand_differently_is_refused(data: bytes, reason: Flaw) -> None:
    assert refusal(data).reason is reason


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": "\\ud83d\\ude00"}',
        b'{"a": 1.0, "b": 1e2, "c": -0}',
        b'{"a\\/b": "\\u00e9"}',
        b'{"a": {"a": {"a": 1}}}',
        b'{"a":' * 64 + b"1" + b"}" * 64,
        b'\r\n{"a"\t:\r\n1}\n\n',
        b'{"x": "[[[[{{{{\\"NaN\\""}',
        b"{}",
    ],
    ids=lambda data: repr(data[:24]),
)
def test_other_ways_to_write_a_document_are_fine(data: bytes) -> None:
    assert parse(data) == json.loads(data)


@pytest.mark.parametrize("indent", [None, 0, 1, 2, 3, "\t"])
def test_depth_is_counted_the_same_however_it_is_indented(indent: int | str | None) -> None:
    document: object = 1
    for _ in range(65):
        document = {"a": document}

    assert refusal(json.dumps(document, indent=indent).encode()).reason is Flaw.DEPTH


def test_size_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ManifestError, match="is 11 bytes long, limit 10"):
        parse(b"[" * 11, max_bytes=10)


def test_a_hostile_depth_costs_neither_stack_nor_memory() -> None:
    with no_hang():
        refusal(b'{"a":' + b"[" * 900 + b"1," * 200_000 + b"1" + b"]" * 900 + b"}")


def test_the_line_of_a_fault_is_told() -> None:
    lines = [refusal(data).line for data in (b'{\n"a": NaN}', b'{"a": 1,\n"b": 2,\n"a": 3}', b'{\n\n"a": "\xff"}')]

    assert lines == [2, 3, 3]


@pytest.mark.slow
@given(JSON)
def test_lists_every_place_of_a_document_once(document: object) -> None:
    def walk(value: object, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [place for key, item in inner for place in ((*path, key), *walk(item, (*path, key)))]

    found = [path for path, _ in places(json.dumps({"top": document}, indent=1).encode())]

    assert found == walk({"top": document}, ())


def outcome(data: bytes) -> object:
    """What reading gives: the document, or the reason why not."""
    try:
        return parse(data)
    except ManifestError as error:
        return error.reason


@pytest.mark.slow
@given(st.dictionaries(st.text(), JSON))
def test_every_document_of_json_comes_back_equal(document: dict[str, object]) -> None:
    # Decoders do not agree on integers of any size, nor on surrogates that stand alone.
    assert outcome(json.dumps(document).encode()) in (document, Flaw.NUMBER, Flaw.ENCODING)


@pytest.mark.slow
@given(st.binary(max_size=60))
def test_no_bytes_at_all_break_the_reader(data: bytes) -> None:
    read = outcome(data)

    assert isinstance(read, Flaw) or read == json.loads(data)


def test_depth_is_exact() -> None:
    assert [deeper_than({"a": {"b": []}}, limit) for limit in (1, 2)] == [True, False]


def test_dotted_paths_read_like_code() -> None:
    assert dotted(("commands", 0, "log_path")) == "commands[0].log_path"


def test_lines_of_what_is_not_there_are_left_out() -> None:
    assert lines_of(b'{"a":\n{"b": 1}}', [("a", "b"), ("c",)]) == {("a", "b"): 2}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (own(run_id=5), "run_id: expected a string, got a number"),
        ({"task_id": "x"}, "run_id: is missing"),
        (own(started_at="2026-02-30T00:00:00Z"), "started_at: is not a date and time that exists"),
    ],
    ids=["wrong kind", "missing", "no date"],
)
def test_a_manifest_that_makes_no_run_says_where(document: object, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        decode(encoded(document))

    assert caught.value.message == message


def test_a_folder_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is a directory, not a regular file"):
        load(str(tmp_path))


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")

    with pytest.raises(ManifestError, match="is a named pipe"):
        load(str(tmp_path / "manifest.json"))


def test_a_device_is_not_read() -> None:
    with pytest.raises(ManifestError, match="is a device"):
        load("/dev/zero")


def test_a_dangling_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").symlink_to("nowhere")

    with pytest.raises(ManifestError, match="leads nowhere"):
        load(str(tmp_path / "manifest.json"))


def test_a_cyclic_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").symlink_to("manifest.json")

    with pytest.raises(ManifestError, match="leads nowhere"):
        load(str(tmp_path / "manifest.json"))


def test_what_vanished_is_not_a_verdict_about_the_manifest(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="vanished"):
        load(str(tmp_path / "manifest.json"))


def test_two_gigabytes_are_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "manifest.json", "wb") as stream:
        stream.truncate(2 << 30)

    with pytest.raises(ManifestError, match="is 2147483648 bytes long"):
        load(str(tmp_path / "manifest.json"))


def test_reading_manifests_costs_nothing_until_one_is_read() -> None:
    heavy = ("msgspec", "jsonschema", "jsonschema_rs", "json", "pickle")
    code = f"import sys, orchgate.checks.manifests; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=3), JSON), st.integers(1, 4))
def test_depth_does_not_depend_on_the_way_it_is_measured(document: dict[str, object], limit: int) -> None:
    def refused(indent: int | None) -> bool:
        try:
            parse(json.dumps(document, indent=indent).encode(), max_depth=limit)
        except ManifestError as error:
            return error.reason is Flaw.DEPTH
        return False

    assert refused(2) == refused(None)
