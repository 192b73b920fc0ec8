"""The answer that must not be."""

from __future__ import annotations


class Violation(Exception):
    """An answer that must not be: a pass of what was not read, two answers to one question, a crash."""
