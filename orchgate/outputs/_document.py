"""What every JSON document has in common: its head, its numbers and texts, and how an error is told.

Readers ignore what they do not know; a value that is not known is null; every number has at most six decimals.
"""

from __future__ import annotations

from math import isfinite

from orchgate import __version__
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import written_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, TextIO

    from orchgate.errors import OrchgateError


DECIMALS = 6
FORMATS = {"bisect": "orchgate-bisect-report", "config-values": "orchgate-config"}  # not called as their schemas
MOST = 2**63  # beyond it, readers disagree about what an integer is
_HALVES = lazy("[\ud800-\udfff]")  # of characters: undecodable bytes of file names, and what strict readers refuse
_written: list[bool] = []  # whether a document of this call is out, or on its way


def headed(name: str, facts: Mapping[str, Any], version: int = 1) -> dict[str, object]:
    """A document of the schema `name`: what it is, by which version of its format and of orchgate, and the facts."""
    return {"format": FORMATS.get(name, f"orchgate-{name}"), "version": version, "orchgate": __version__, **facts}


def schema_of(format_: str) -> str:
    """The schema that a document of a format keeps."""
    return next((name for name, one in FORMATS.items() if one == format_), format_.removeprefix("orchgate-"))


def plain(value: Any) -> Any:
    """A value as every reader of JSON takes it: no NaN, no infinity, no huge integer, no half of a character."""
    if isinstance(value, str):
        return str(value) if value.isascii() else _HALVES.sub(written_out, value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -MOST <= value < MOST else None
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0 if isfinite(value) else None  # + 0.0: there is no minus zero
    if hasattr(value, "items"):
        return {plain(str(key)): plain(one) for key, one in value.items()}
    return [plain(one) for one in value]


def text_of(document: Any, *, indent: int | None = 2, depth: int = 0) -> str:
    """A value as JSON; in ASCII, which every stream can carry. Without `indent` it is one line.

    Nothing of it is a command to a CI service that prints it.

    `depth` says how many levels down it stands in another document.
    """
    import json
    import textwrap

    whole = plain(document)
    if isinstance(whole, dict) and "format" in whole:
        add(whole, schema_of(str(whole["format"])))
    separators = (",", ":") if indent is None else None
    text = json.dumps(whole, indent=indent, separators=separators, ensure_ascii=True, allow_nan=False)
    text = text.replace("##", "#\\u0023")
    return textwrap.indent(text, "  " * depth) if depth else text


def write(document: Any, stream: TextIO, *, indent: int | None = 2) -> None:
    """Writes a document and a line break, all of it or, where it cannot be made, nothing."""
    text = text_of(document, indent=indent)
    begin()
    stream.write(text + "\n")


def unit_of(metric: str) -> str:
    """In which unit the values of a metric are, by its name: seconds, bytes, or else a count."""
    last = metric.rpartition("_")[2]
    return last if last in ("seconds", "bytes") else "count"


def begin() -> None:
    """Notes that a document is on its way: an error that comes now must not make two of it."""
    _written.append(True)


def forget() -> None:
    """A new call begins."""
    _written.clear()


def problem(code: str, message: str, hint: str = "", place: tuple[str, int, int] = ("", 0, 0)) -> dict[str, object]:
    """One thing that could not be read or done; `place` is a path with line and column, from 1 on, or 0."""
    path, line, column = place
    known = {"path": path or None, "line": line or None, "column": column or None}
    return {"code": code, "message": message, "hint": hint or None, **known}


def problem_of(error: OrchgateError, path: str = "") -> dict[str, object]:
    """An error as one of the problems of a document, about a path where it does not name one itself."""
    own, line, column = error.place
    where = own or getattr(error, "path", "") or path
    return problem(error.kind, error.message, error.hint, (where, line, column))


def problems_of(error: OrchgateError) -> list[dict[str, object]]:
    """The error first, then whatever else was wrong at the same time."""
    return [problem_of(error), *(problem(error.kind, *one) for one in getattr(error, "others", ()))]


def error(problems: Sequence[Mapping[str, object]], exit_code: int) -> dict[str, object]:
    """The document of a call that ends in an error, which is the first of the problems."""
    return headed("error", {"error": problems[0], "problems": list(problems), "exit_code": exit_code})


def answer(stream: TextIO, argv: Sequence[str], problems: Sequence[Mapping[str, object]], exit_code: int) -> None:
    """Where JSON was asked for, writes the document of a call that ends in an error, unless one is out already.

    The first of the problems is the error.
    """
    if _written or not wants_json(argv):
        return
    try:
        write(error(problems, exit_code), stream)
        stream.flush()
    except OSError:  # nobody reads it; the exit code still says it
        return


def wants_json(argv: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, wherever it does, and whatever else is wrong with it."""
    found, words = False, iter(argv)
    observing = next(words, "") == "observe" if argv and not argv[0].startswith("-") else False
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--" or (observing and not word.startswith("-")):
            break  # what follows is the command line of another program
        if len(name) > len("--output-") and "--output-format".startswith(name):
            found = (value if equals else next(words, "")) == "json"
        elif observing and not equals:
            next(words, "")  # each of its options takes a value
    return found


# Fields of JSON documents that got a better name: documents hold both names for one more minor version.
#
# By schema and place in the document (`*` is every item of a list, or every value of an object): the old name, and
# the new one. The old ones are deprecated in the schemas. Whoever drops one renames it where the document is made.


_INTERVAL = {"low": "low_fraction", "high": "high_fraction", "p": "p_value"}
_COMPARED = {"estimate": "change_fraction", **_INTERVAL}
_RUNS = {"runs": "run_count"}
_TOTALS = {
    **_RUNS,
    "flaky_runs": "flaky_run_count",
    "cached_runs": "cached_run_count",
    "resumed_runs": "resumed_run_count",
}
_UNSUCCESSFUL = {**_RUNS, "wall_seconds_p50": "p50_wall_seconds"}
_TESTS = {**_RUNS, "passed": "passed_count", "failed": "failed_count", "skipped": "skipped_count"}
_FAILURE = {"stage": "stage_id", "said": "last_line"}


def _of_totals(place: str) -> dict[str, Mapping[str, str]]:
    return {
        f"{place}.failed": _UNSUCCESSFUL,
        f"{place}.cancelled": _UNSUCCESSFUL,
        f"{place}.tests": _TESTS,
        f"{place}.costs.*": {"lower_bounds": "lower_bound_count"},
    }


def _of_judgement(place: str) -> dict[str, Mapping[str, str]]:
    metric = {
        "pairs": "pair_count",
        "pairs_missing": "missing_pair_count",
        "smallest_effect": "smallest_effect_fraction",
    }
    return {
        f"{place}metrics.*": {**_COMPARED, **metric},
        f"{place}counters.*": {"runs_missing": "missing_run_count"},
        f"{place}benchmarks.*": {"change": "change_fraction", **_INTERVAL, "pairs": "pair_count"},
        f"{place}benchmarks_failed.*": {**_RUNS, "of": "all_run_count"},
    }


NEW_NAMES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "agent": {"": {"left_out": "left_out_count"}},
    "baseline-report": {
        "records.*": {
            **_RUNS,
            "pipeline": "pipeline_id",
            "fingerprint": "machine_id",
            "commits_behind": "behind_commit_count",
        },
        "records.*.metrics.*": {"least": "min", "most": "max"},
        "failure": {**_FAILURE, "run": "run_number"},
    },
    "bisect": {
        "step": _COMPARED,
        "ends": _COMPARED,
        "measured.*": {"change": "change_fraction"},
    },
    "hotspots": {
        "runs.*": {"parts": "part_seconds"},
        "hotspots.*": {"stage": "stage_id", "times": "operation_count"},
        "hotspots.*.gaps.*": {"stage": "stage_id"},
        "pipelines.*": {**_RUNS, "left_out_runs": "left_out_run_count"},
        "pipelines.*.wall": _RUNS,
        "pipelines.*.parts.*": _RUNS,
        "pipelines.*.stages.*": {"id": "stage_id", "median_parts": "median_part_seconds"},
        "pipelines.*.stages.*.total": _RUNS,
    },
    "metrics": {
        "": {"quantile_error": "quantile_error_fraction"},
        "tasks.*": {**_RUNS, "lines": "line_count", "state": "state_path"},
        "tasks.*.read": {"lines": "line_count"},
        "tasks.*.pipelines.*": {**_TOTALS, "pipeline": "pipeline_id", "machine": "machine_id"},
        "tasks.*.pipelines.*.stages.*": {**_TOTALS, "stage": "stage_id"},
        **_of_totals("tasks.*.pipelines.*"),
        **_of_totals("tasks.*.pipelines.*.stages.*"),
        "history.tasks.*.pipelines.*": {**_TOTALS, "pipeline": "pipeline_id", "machine": "machine_id"},
        "history.tasks.*.pipelines.*.stages.*": {**_TOTALS, "stage": "stage_id"},
        **_of_totals("history.tasks.*.pipelines.*"),
        **_of_totals("history.tasks.*.pipelines.*.stages.*"),
    },
    "perf": {
        "": {"pairs": "pair_count", "samples": "samples_path", "noise": "noise_fraction"},
        "environment": {"load": "load_average"},
        "stages.*": {"id": "stage_id"},
        "failures.*": _FAILURE,
        "definition.added.*": {"stage": "stage_id"},
        "instructions": {
            "base": "base_instruction_count",
            "head": "head_instruction_count",
            "change": "change_fraction",
        },
        **_of_judgement(""),
        **_of_judgement("streams.*."),
    },
    "report": {"checks.*": {"older": "older_count"}},
    "run": {
        "pass_rates.*": {
            **_RUNS,
            "id": "stage_id",
            "passed": "passed_count",
            "flaky": "flaky_count",
            "rate": "pass_rate",
        },
    },
    "status": {
        "runs.*": {"resumes": "resume_count"},
        "runs.*.stages.*": {"id": "stage_id"},
    },
    "tasks": {"tasks.*": {"boxes": "box_count", "ticked": "ticked_box_count"}},
}


def add(document: dict[str, object], schema: str) -> None:
    """Puts each new name in front of the old one."""
    for place, names in NEW_NAMES.get(schema, {}).items():
        for table in _tables(document, place.split(".") if place else ()):
            known = list(table.items())
            table.clear()
            for name, value in known:
                table.update({names[name]: value, name: value} if name in names else {name: value})


def _tables(value: Any, place: Sequence[str]) -> Iterator[dict[str, object]]:
    """The objects at a place of a document."""
    if not place:
        yield from (value,) if isinstance(value, dict) else ()
    elif place[0] == "*":
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from _tables(one, place[1:])
    elif isinstance(value, dict):
        yield from _tables(value.get(place[0]), place[1:])
