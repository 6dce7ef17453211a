"""The design holds: who imports whom, what may stand where, and that the reference names everything."""

import ast
import re
from pathlib import Path

import typer.main
from typer.core import TyperGroup

from itukg import formats
from itukg.changes import CHANGES_FORMATS
from itukg.cli import app as cli
from itukg.conformance import HISTORY_FORMATS, REPORT_FORMATS
from itukg.release import Release
from itukg.settings import Settings
from itukg.upload.reading import BODY_TYPES
from itukg.web.app import create_app
from itukg.web.sparql import REQUEST_TYPES

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "itukg").rglob("*.py"))
REFERENCE = (ROOT / "docs" / "reference.md").read_text()

# Lowest first: a module imports only from those before it.
ORDER = (
    "names", "errors", "settings", "jsonld", "schemas", "formats", "html", "engine", "store", "corpus", "things", "lists", "search", "derive",
    "facts", "void", "vocabulary", "dumps", "changes", "evidence", "conformance", "reasoner", "release", "catalog", "publish", "upload", "web", "cli",
)  # fmt: skip


def module_of(path: Path) -> str:
    return path.relative_to(ROOT / "src" / "itukg").with_suffix("").parts[0]


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "itukg":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("itukg."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("itukg.")}
    return found - {"__version__"}


def test_a_module_imports_only_from_those_beneath_it() -> None:
    assert {module_of(path) for path in SOURCES} == {*ORDER, "__init__", "__main__"}
    for path in SOURCES:
        module = module_of(path)
        if module in ORDER:
            beneath = {*ORDER[: ORDER.index(module) + 1]}
            assert imports_of(path) <= beneath, f"{path} imports {imports_of(path) - beneath}"


def test_no_file_of_web_but_app_imports_another_audience() -> None:
    audiences = {
        "description",
        "pages",
        "releases",
        "reports",
        "resources",
        "search",
        "sparql",
        "uploads",
        "vocabulary",
    }
    shared = {
        "answers",
        "description",
        "interface",
        "listing",
        "requests",
        "service",
    }  # the bare endpoint describes itself
    for path in SOURCES:
        if path.parent.name == "web" and path.stem in audiences:
            named = set(re.findall(r"from itukg\.web\.(\w+)", path.read_text()))
            assert named <= (
                shared - {path.stem} if path.stem != "description" else {"answers", "interface", "service"}
            ), path


def test_no_plan_class_code_or_iri_stands_in_the_code() -> None:
    plans = [path.stem for path in (ROOT / "data" / "plans").glob("*.ttl")]
    assert plans
    ontology = (ROOT / "ontology" / "itukg.ttl").read_text()
    classes = re.findall(r"^itu:([A-Z]\w+) a owl:Class", ontology, re.MULTILINE)
    structural = {"Linkage", "Plan", "Gap"}  # how evidence, plans and gaps are told, in every plan alike
    assert len(classes) > 25
    checked = 0
    for path in SOURCES:
        if path.stem == "names":
            continue
        text = path.read_text()
        strings = [
            n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)
        ]
        for_people = docstrings(text) | helps(text)
        code = [string for string in strings if string not in for_people]
        for string in code:
            assert not any(plan in string for plan in plans), (path, string)
            assert not set(re.findall(r"itu:([A-Z]\w+)|[>}]([A-Z]\w+)>", string)) & {
                (c, "") for c in {*classes} - structural
            }
            assert not re.search(r"sdg:\d|/sdg/\d|https?://\w", string), (path, string)
            checked += 1
    assert checked > 300


def docstrings(text: str) -> set[str]:
    return {node.value.value for node in ast.walk(ast.parse(text)) if is_text(node)}  # type: ignore[attr-defined]


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def helps(text: str) -> set[str]:
    """Return the texts of `help=` and `description=`: examples for people may name a plan."""
    keywords = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.keyword))
    return {k.value.value for k in keywords if k.arg in ("help", "description") and isinstance(k.value, ast.Constant)}  # type: ignore[misc]


def test_every_setting_stands_in_the_reference_with_its_default() -> None:
    assert len(Settings.model_fields) >= 8
    for name, field in Settings.model_fields.items():
        line = next(row for row in REFERENCE.splitlines() if f"`ITUKG_{name.upper()}`" in row)
        assert field.description and field.description in line
        if field.default_factory is None and field.default is not None:
            assert f"`{field.default}`" in line


def test_every_command_and_option_stands_in_the_reference() -> None:
    group = typer.main.get_command(cli)
    assert isinstance(group, TyperGroup)
    commands = group.commands
    assert len(commands) >= 7
    for name, command in commands.items():
        line = next(row for row in REFERENCE.splitlines() if f"`itukg {name}" in row)
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option != "--help":
                    assert f"`{option}`" in line or option in line, (name, option)


def test_every_route_and_media_type_stands_in_the_reference(release: Release) -> None:
    routes = set(create_app(Settings(), release).openapi()["paths"]) | {"/openapi.json"}
    assert len(routes) >= 9
    for path in routes:
        shown = path.replace("{path}", "…")
        assert f"`{shown}`" in REFERENCE, shown
    tables = (
        formats.TABLE_FORMATS, formats.GRAPH_FORMATS, formats.THING_FORMATS, REPORT_FORMATS, HISTORY_FORMATS,
        CHANGES_FORMATS,
    )  # fmt: skip
    for syntax in {syntax for table in tables for syntax in table}:
        assert f"`{syntax.media_type}`" in REFERENCE
        assert f"`{syntax.suffix}`" in REFERENCE
    for media_type in (*REQUEST_TYPES, *BODY_TYPES):
        assert f"`{media_type}`" in REFERENCE
