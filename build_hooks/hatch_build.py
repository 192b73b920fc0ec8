"""Puts completions and man pages into the packages. A source distribution holds them, so its wheel needs none made."""

from __future__ import annotations

import os
import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "generated"


class ShellFiles(BuildHookInterface[Any]):
    """Named by pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 -- hatchling's signature
        folder = os.path.join(self.root, FOLDER)
        sys.path[:0] = [self.root, os.path.join(self.root, "build_hooks")]
        import shell_files

        unpacked = os.path.exists(os.path.join(self.root, "PKG-INFO"))
        if unpacked and os.path.isdir(folder):
            names = sorted(os.listdir(folder))
        else:
            names = sorted(shell_files.written(folder))
        if self.target_name == "sdist":
            build_data["force_include"].update({os.path.join(folder, name): f"{FOLDER}/{name}" for name in names})
            return
        for name in names:
            place = shell_files.PLACES.get(name, f"share/man/man1/{name}")
            build_data["shared_data"][os.path.join(folder, name)] = place
            if name in shell_files.PLACES:
                build_data["force_include"][os.path.join(folder, name)] = f"orchgate/{FOLDER}/{name}"
