"""The saved queries as addresses and commands: parameters are typed, bound as terms, and refused in words."""

import csv
import io
import re

import pyoxigraph as ox
import pytest
import yaml  # type: ignore[import-untyped]
from conftest import ROOT, Engine
from fastapi.testclient import TestClient

from itukg import names
from itukg.corpus import Corpus
from itukg.engine.sparql import read_query
from itukg.errors import DataError
from itukg.formats import TABLE_FORMATS
from itukg.queries import KINDS, SavedQuery, Term, read_saved
from itukg.release.model import Release

HEAD = "#+ summary: a\n#+ description: b\n#+ tags: [c]\n"
SAVED = Corpus(ROOT).queries()
WITH = [(query, parameter) for query in SAVED for parameter in query.parameters]
INJECTIONS = (
    "9.c> } SELECT * WHERE { ?s ?p ?o } #",
    "sdg:9.c } UNION { ?output ?p ?o",
    "http://metadata.un.org/sdg/9.c> . ?a ?b <http://a",
    '" } } #',
    "?output",
    "BIND(?__plan_iri AS ?plan)",
    "9.c\n} #",
    "\\u003e",
    "%3E",
)  # fmt: skip


def table(client: TestClient, address: str, **given: str) -> list[dict[str, str]]:
    reply = client.get(f"/queries/{address}", params={"format": "csv", **given})
    assert reply.status_code == 200, reply.text
    return [*csv.DictReader(io.StringIO(reply.text))]


def refused(client: TestClient, address: str, **given: str) -> str:
    reply = client.get(f"/queries/{address}", params=given)
    assert (reply.status_code, reply.headers["content-type"]) == (400, "application/problem+json"), reply.text
    detail: str = reply.json()["detail"]
    return detail


# --- parameters ---


def test_most_questions_have_parameters_of_known_kinds() -> None:
    assert len(SAVED) >= 40 and len(WITH) >= 45
    readme = (ROOT / "queries" / "README.md").read_text()
    assert re.findall(r"^\| ([\w ]+) \| .* \| `\?__\w+_(\w+)` \|$", readme, re.MULTILINE) == [
        (name, kind.suffix) for name, kind in KINDS.items()
    ]


@pytest.mark.parametrize("query", SAVED, ids=lambda query: query.name)
def test_a_query_with_its_default_put_in_has_the_same_answer(query: SavedQuery, store: Engine) -> None:
    given = {one.name: one.default for one in query.parameters if one.default is not None}
    bound = query.bound(**given)
    assert bound != query.text or not given
    assert store.answer(bound) == store.answer(query.text)


def test_a_target_is_given_by_its_code_its_name_or_its_iri(client: TestClient) -> None:
    answers = [table(client, "outputs-for-sdg-target", target=each) for each in ("4.4", "sdg:4.4", names.SDG + "4.4")]
    assert answers[0] == answers[1] == answers[2]
    assert {row["notation"] for row in answers[0]} == {"3.1", "3.3", "3.4", "4.2", "4.3"} and all(
        "4.4" in row["quote"] for row in answers[0]
    )
    assert (
        table(client, "outputs-for-sdg-target")
        == table(client, "outputs-for-sdg-target", target="9.c", page="")
        != answers[0]
    )


def test_a_wrong_value_names_the_parameter_and_the_nearest_choices(client: TestClient) -> None:
    for address, given, words in (
        ("outputs-for-sdg-target", {"target": "4.44"}, ("target must be an SDG target", '"4.44"', "nearest: 4.4,")),
        ("gaps-of-the-plan", {"plan": "buap-2018"}, ("plan must be a plan", "buap-2018-2021")),
        ("evidence-of-an-output", {"output": "buap-2018-2021/output/4.9"}, ("nearest:", "buap-2018-2021/output/4.")),
        ("changes-between-plans", {"olderPlan": "sdg:9.c"}, ("olderPlan must be a plan", "known: ")),
        ("outputs-for-sdg-target", {"taget": "4.4"}, ('No parameter "taget"', "target")),
        ("outputs-for-sdg-target", {"sort": "labels"}, ("sort must be a column", "notation")),
        ("outputs-for-sdg-target", {"size": "1e9"}, ("size must be a whole number from 1 to 1000",)),
        ("outputs-for-sdg-target", {"page": "0"}, ("page must be a whole number",)),
        ("outputs-for-sdg-target", {"labels": "2"}, ("labels must be 1",)),
        ("outputs-for-sdg-target", {"target": "4" * 300}, ("target is longer than 200 characters",)),
    ):
        detail = refused(client, address, **given)
        assert all(word in detail for word in words), detail
    assert client.get("/queries/outputs-for-sdg-target?target=4.4&target=9.c").status_code == 400
    assert client.get("/queries/outputs-for-sdg-target?page=99&size=2").status_code == 404


@pytest.mark.parametrize("attempt", INJECTIONS)
def test_no_value_reaches_the_query_as_text(attempt: str, client: TestClient) -> None:
    assert len(INJECTIONS) == 9
    for query, parameter in WITH:
        if parameter.kind == "text" and attempt.isprintable():
            assert table(client, query.name, **{parameter.name: attempt}) == [], query.name
        else:
            assert refused(client, query.name, **{parameter.name: attempt}).startswith(f"{parameter.name} ")


@pytest.mark.parametrize("attempt", INJECTIONS)
def test_text_is_bound_as_one_literal(attempt: str) -> None:
    text = f'{HEAD}#+ parameters:\n#+   words: text\n#+   plan: plan\nSELECT ?words ?plan WHERE {{ BIND(COALESCE(?__words_literal, "a") AS ?words) BIND(?__plan_iri AS ?plan) }}'
    query = read_saved("q", text, "q.rq")
    for value in (attempt, attempt[::-1], attempt * 2):
        [row] = ox.Store().query(query.bound(words=ox.Literal(value), plan="urn:p"))  # type: ignore[misc]
        assert (row["words"].value, row["plan"].value) == (value, "urn:p")
    with pytest.raises(ValueError, match=r"Invalid IRI|No scheme"):
        query.bound(plan=attempt + " ")


def test_a_parameter_without_a_default_may_be_left_out() -> None:
    text = f"{HEAD}#+ parameters:\n#+   least: number\nSELECT ?x WHERE {{ VALUES ?x {{ 1 2 3 }} BIND(?__least_number AS ?least) FILTER(COALESCE(?x >= ?least, true)) }}"
    query = read_saved("q", text, "q.rq")
    for given, rows in ((dict[str, Term](), 3), ({"least": ox.Literal(2)}, 2)):
        assert len(list(ox.Store().query(query.bound(**given)))) == rows  # type: ignore[arg-type]


def test_a_header_that_does_not_fit_the_text_is_an_error_of_the_data() -> None:
    place = "SELECT ?a WHERE { BIND(COALESCE(?__a_iri, itu:x) AS ?a) }"
    for text, words in (
        (place, 'parameter "a" needs both'),
        ("#+   a: plan\nSELECT * {}", 'parameter "a" needs both'),
        (f"#+   a: plam\n{place}", 'no kind of parameter "plam"'),
        (f"#+   a: text\n{place}", "?__a_literal"),
    ):
        with pytest.raises(DataError, match=re.escape(words)):
            read_saved("q", HEAD + text, "q.rq")


# --- answers ---


def test_an_answer_is_written_in_every_syntax_of_tables_and_cached(client: TestClient) -> None:
    types = set()
    for syntax in TABLE_FORMATS:
        reply = client.get("/queries/results-chain", headers={"accept": syntax.media_type})
        again = client.get(
            "/queries/results-chain", headers={"accept": syntax.media_type, "if-none-match": reply.headers["etag"]}
        )
        assert (reply.status_code, again.status_code) == (200, 304)
        types.add(reply.headers["content-type"].replace("; charset=utf-8", ""))
    assert types == {syntax.media_type for syntax in TABLE_FORMATS} and len(types) == 8
    labelled = client.get("/queries/outputs-for-sdg-target.csv?labels=1").text.splitlines()[0]
    assert labelled.startswith("output,outputLabel,")


def test_pages_make_up_the_answer_and_lead_to_each_other(client: TestClient) -> None:
    whole = table(client, "gaps-of-the-plan")
    pages = [table(client, "gaps-of-the-plan", size="10", page=str(page)) for page in (1, 2, 3)]
    assert [row for page in pages for row in page] == whole and len(whole) > 20
    links = client.get("/queries/gaps-of-the-plan?size=10&page=2").links
    assert {"first", "prev", "next", "last"} <= links.keys()
    after = client.get(f"{links['next']['url']}&format=csv").text
    assert [*csv.DictReader(io.StringIO(after))] == pages[2]
    assert table(client, "gaps-of-the-plan", page="1") == whole[:50]


def test_rows_are_sorted_by_a_column_both_ways(client: TestClient) -> None:
    lines = [int(row["line"]) for row in table(client, "gaps-of-the-plan", sort="line")]
    assert lines == sorted(lines)
    down = [int(row["line"]) for row in table(client, "gaps-of-the-plan", sort="-line")]
    assert down == lines[::-1]


def test_every_query_names_its_columns(client: TestClient) -> None:
    for query in SAVED:
        reply = client.get(f"/queries/{query.name}", params={"format": "csv", "size": "1"})
        assert tuple(reply.text.splitlines()[0].split(",")) == query.columns, query.name


def test_the_list_has_forms_and_is_json_and_csv(client: TestClient, release: Release) -> None:
    listed = client.get("/queries").json()["queries"]
    assert [each["name"] for each in listed] == sorted(release.saved) == [query.name for query in SAVED]
    target = next(each for each in listed if each["name"] == "outputs-for-sdg-target")["parameters"]
    assert target[0] | {"values": len(target[0]["values"])} == {
        "name": "target",
        "kind": "SDG target",
        "default": "sdg:9.c",
        "values": 169,
    }
    assert len([*csv.DictReader(io.StringIO(client.get("/queries.csv").text))]) == len(listed)
    page = client.get("/queries", headers={"accept": "text/html"}).text
    assert page.count('<form class="filters"') == len({query.name for query, _ in WITH})
    answer = client.get("/queries/gaps-of-the-plan", headers={"accept": "text/html"}).text
    assert '<select name="plan">' in answer and "26 rows" in answer and answer.count("<tr>") == 27


def test_each_query_is_an_operation_with_its_parameters(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for query in SAVED:
        operation = paths[f"/queries/{query.name}"]["get"]
        assert operation["summary"] == query.summary
        given = {each["name"]: each["schema"].get("default", "") for each in operation["parameters"]}
        assert given.items() >= {each.name: each.shown for each in query.parameters}.items()
        assert given.keys() >= {"sort", "page", "size", "format", "labels", "release"}


# --- elsewhere ---


def grlc_parameters(text: str) -> dict[str, tuple[str, str]]:
    """The parameters that grlc 1.3 finds: by name, what it replaces and the kind of value."""
    found = re.finditer(r"\?(_{1,2})([a-zA-Z0-9]+)(?:_(iri|number|literal|integer))?", text)
    return {place[2]: (place[0], place[3]) for place in found}


def test_grlc_reads_the_header_and_finds_the_same_parameters(store: Engine) -> None:
    for query in SAVED:
        lines = [line.lstrip("#+") for line in query.text.split("\n") if line.startswith("#+")]
        header = yaml.safe_load("\n".join(lines))
        assert (header["summary"], header["description"]) == (query.summary, query.description)
        assert tuple(header["tags"]) == query.tags
        assert header.get("parameters", {}) == {each.name: each.kind for each in query.parameters}
        found = grlc_parameters(query.text)
        assert found.keys() == {each.name for each in query.parameters}
    # and puts in what it is given
    saved = next(query for query in SAVED if query.name == "outputs-for-sdg-target")
    replaced = saved.text.replace(grlc_parameters(saved.text)["target"][0], f"<{names.SDG}4.4>")
    assert store.answer(replaced) == store.answer(saved.bound(target=names.SDG + "4.4"))
    assert len(SAVED) >= 40


def test_a_saved_query_is_read_as_one() -> None:
    for query in SAVED:
        assert read_query(query.text).form == "SELECT"
