"""Hostile input for whatever orchgate reads: one target a file, run by `nox -s fuzz`."""
