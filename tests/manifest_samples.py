"""Manifests that are right, for tests to make wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases" / "manifests"
TASK = "0001-build"
RUN = "2026-01-06T09-26-22-129Z-c2f9cb47"
PATH = f".runs/{TASK}/cli/{RUN}/manifest.json"


def _sample(case: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CASES / case / "repo" / PATH).read_text())
    return loaded


_OWN, _JANUARY, _JUNE = map(_sample, ("pass-own-version-1", "pass-codex-january", "pass-codex-june"))


def own(**changed: Any) -> dict[str, Any]:
    return {**copy.deepcopy(_OWN), **changed}


def january(**changed: Any) -> dict[str, Any]:
    return {**copy.deepcopy(_JANUARY), **changed}


def june(**changed: Any) -> dict[str, Any]:
    return {**copy.deepcopy(_JUNE), **changed}


def encoded(document: object) -> bytes:
    return json.dumps(document, indent=2).encode()
