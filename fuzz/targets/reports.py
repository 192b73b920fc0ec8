"""Reports of tests: JUnit files in any pieces, CTRF and pytest's, pytest's last line, and metrics of a stage."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate.errors import OrchgateError
from orchgate.result_files import formats, junit, pytest_reports
from orchgate.runner.results import parse_metrics, pytest_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orchgate.result_files.counts import CountedTests

WHOLE = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites tests="4" failures="1"><testsuite name="p" tests="4" failures="1" errors="1" skipped="1">
<testcase name="a"/><testcase name="b"><failure message="x">y</failure></testcase>
<testcase name="c"><error/><flakyFailure/></testcase><testcase name="d"><skipped/></testcase>
<!-- c --><![CDATA[<failure/>]]></testsuite></testsuites>
"""


def seeds() -> Iterable[bytes]:
    yield WHOLE
    yield b'<testsuite tests="3" failures="1" skipped="0" errors="0"/>'
    yield WHOLE.decode().replace("utf-8", "utf-16").encode("utf-16")
    yield b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><testsuite><testcase>&b;</testcase></testsuite>'
    yield b"collected 3\n\x1b[31m=== 2 failed, 1 passed, 3 warnings in 0.12s (0:00:01) ===\x1b[0m\n"
    yield b'{"build.seconds": 1.5, "size": 10}'
    yield b'{"results": {"summary": {"tests": 2}, "tests": [{"name": "a", "status": "passed", "retries": 1}]}}'
    yield b'{"exitcode": 1, "summary": {}, "root": "/", "tests": [{"nodeid": "a", "outcome": "rerun", "call": {}}]}'
    yield b'{"$report_type": "TestReport", "nodeid": "a", "when": "teardown"}\n{"$report_type": "SessionFinish"}\n'


def prepare(_: str) -> Callable[[bytes], None]:
    def one(data: bytes) -> None:
        pytest_line(data)
        _read_whole(data)
        parse_metrics(data)
        at_once = _counted([data])
        if at_once != _counted([data[start : start + 7] for start in range(0, len(data), 7)]):
            raise Violation("counted otherwise in pieces")
        if at_once is not None and min(at_once[:4]) < 0:
            raise Violation("fewer tests than none")

    return one


def _counted(chunks: Sequence[bytes]) -> CountedTests | None:
    try:
        return junit.parse(chunks).tests
    except OrchgateError:
        return None


def _read_whole(data: bytes) -> None:
    with contextlib.suppress(OrchgateError):
        formats.parse_document(data)
    with contextlib.suppress(OrchgateError):
        pytest_reports.parse_reportlog(data.split(b"\n"))
