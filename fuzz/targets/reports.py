"""Reports of tests: JUnit files in any pieces, pytest's last line, and the metrics that a stage wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate.errors import OrchgateError
from orchgate.runner.results import CountedTests, parse_junit, parse_metrics, pytest_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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


def prepare(_: str) -> Callable[[bytes], None]:
    def one(data: bytes) -> None:
        pytest_line(data)
        parse_metrics(data)
        at_once = _counted([data])
        if at_once != _counted([data[start : start + 7] for start in range(0, len(data), 7)]):
            raise Violation("counted otherwise in pieces")
        if at_once is not None and min(at_once[:4]) < 0:
            raise Violation("fewer tests than none")

    return one


def _counted(chunks: Sequence[bytes]) -> CountedTests | None:
    try:
        return parse_junit(chunks)
    except OrchgateError:
        return None
