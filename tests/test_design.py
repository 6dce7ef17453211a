"""The design holds: who imports whom, what may stand where, and that the reference names everything."""

import ast
import re
from graphlib import TopologicalSorter

import typer.main
from imports import MODULES, ROOT, SOURCES, imports_of, packages
from typer.core import TyperGroup

from itukg import formats
from itukg.cli import app as cli
from itukg.conformance import HISTORY_FORMATS, REPORT_FORMATS
from itukg.release.changes import CHANGES_FORMATS
from itukg.release.model import Release
from itukg.settings import Settings
from itukg.upload.read import BODY_TYPES
from itukg.web.app import create_app
from itukg.web.middleware import QUERY_TYPES

REFERENCE = (ROOT / "docs" / "reference.md").read_text()

# Lowest first: a package imports only from those before it.
PACKAGES = (
    "names", "errors", "settings", "rdf", "formats", "graphs", "tables", "sssom", "pictures", "pages", "engine", "queries", "corpus", "conformance",
    "evidence", "reasoner", "release", "proposals", "upload", "views", "web", "client", "cli",
)  # fmt: skip
# And within `web`: what all routes share, then a file for each audience, which imports no other, then what puts them together.
SHARED = (
    "metrics",
    "quotas",
    "requests",
    "logs",
    "problems",
    "middleware",
    "service",
    "older",
    "deps",
    "files",
    "lists",
    "writing",
    "embedding",
    "uploads",
)
AUDIENCES = (
    "audit",
    "description",
    "documents",
    "mapping",
    "queries",
    "releases",
    "reports",
    "resources",
    "search",
    "sparql",
    "system",
    "validate",
    "vocabulary",
)
TOGETHER = ("app", "reload", "server")
BETWEEN_AUDIENCES = {("sparql", "description"), ("validate", "reports")}  # the bare endpoint; a report is a report


def test_a_package_imports_only_from_those_beneath_it() -> None:
    assert {*packages()} == {*PACKAGES}
    for package, imported in packages().items():
        assert imported <= {*PACKAGES[: PACKAGES.index(package)]}, package


def test_no_two_modules_import_each_other_on_whatever_way() -> None:
    graph = {module: imports_of(path) - {module.rpartition(".")[0]} for module, path in MODULES.items()}
    assert sum(map(len, graph.values())) > 200
    assert len([*TopologicalSorter(graph).static_order()]) >= len(MODULES)  # raises CycleError


LONG = {"engine.pool": "pool and response change each other's state, and a reader needs both at hand"}
"""Modules of more than 400 lines, and why they are not two."""


def test_no_module_is_longer_than_400_lines_without_a_reason() -> None:
    assert {module for module, path in MODULES.items() if len(path.read_text().splitlines()) > 400} == LONG.keys()


def test_a_file_of_web_imports_what_all_share_and_no_other_audience() -> None:
    order = (*SHARED, *AUDIENCES, *TOGETHER)
    assert {module.removeprefix("web.") for module in MODULES if module.startswith("web.")} == {*order}
    for name in order:
        named = {each.removeprefix("web.") for each in imports_of(MODULES[f"web.{name}"]) if each.startswith("web.")}
        beneath = order[: order.index(name)] if name not in AUDIENCES else SHARED
        assert {(name, other) for other in named - {*beneath}} <= BETWEEN_AUDIENCES, name


def test_one_module_writes_tables() -> None:
    for module, path in MODULES.items():
        text = path.read_text()
        assert ("xlsxwriter" in text) == (module == "tables"), path
        assert not re.search(r"csv\.(writer|DictWriter)", text), path


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
    saved = {f"/queries/{name}" for name in release.saved}  # which /queries lists
    assert len(saved) >= 15 and saved <= routes
    for path in routes - saved:
        shown = path.replace("{path}", "…")
        assert f"`{shown}`" in REFERENCE, shown
    tables = (
        formats.TABLE_FORMATS, formats.GRAPH_FORMATS, formats.THING_FORMATS, REPORT_FORMATS, HISTORY_FORMATS,
        CHANGES_FORMATS,
    )  # fmt: skip
    for syntax in {syntax for table in tables for syntax in table}:
        assert f"`{syntax.media_type}`" in REFERENCE
        assert f"`{syntax.suffix}`" in REFERENCE
    for media_type in (*QUERY_TYPES, *BODY_TYPES):
        assert f"`{media_type}`" in REFERENCE
