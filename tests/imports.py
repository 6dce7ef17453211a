"""The modules of itukg, and which of them each imports, read from the source."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "itukg").rglob("*.py"))


def module_of(path: Path) -> str:
    """The dotted name of a module within itukg; a package by its own name."""
    parts = path.relative_to(ROOT / "src" / "itukg").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_of(path): path for path in SOURCES}


def imports_of(path: Path) -> set[str]:
    """The modules of itukg that a module imports, when it is loaded or later."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "itukg":
            package = node.module.removeprefix("itukg").removeprefix(".")
            for alias in node.names:
                module = f"{package}.{alias.name}".removeprefix(".")
                found.add(module if module in MODULES else package)
    return found - {"", module_of(path)}


def package_of(module: str) -> str:
    """The top-level package or module that a module belongs to."""
    return module.split(".", maxsplit=1)[0]


def packages() -> dict[str, set[str]]:
    """Each package, sorted, with the other packages that it imports."""
    found: dict[str, set[str]] = {package_of(module): set() for module in MODULES}
    for module, path in MODULES.items():
        found[package_of(module)] |= {package_of(each) for each in imports_of(path)} - {package_of(module)}
    return {name: imported for name, imported in found.items() if name not in ("", "__main__")}
