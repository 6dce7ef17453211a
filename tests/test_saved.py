"""The saved queries as addresses and commands: parameters are typed, bound as terms, and refused in words."""

import csv
import io
import re
from html import unescape

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
    listed_on_page = re.findall(r'<li id="[^"]+"><a href="/queries/([^"]+)">', page(client, "/queries"))
    assert sorted(listed_on_page) == [query.name for query in SAVED]
    answer = page(client, "/queries/gaps-of-the-plan")
    assert '<select name="plan">' in answer and "26 rows" in answer and answer.count("<tr>") == 27


def page(client: TestClient, address: str) -> str:
    reply = client.get(address, headers={"accept": "text/html"})
    assert reply.status_code == 200, reply.text
    return reply.text


def test_the_form_of_every_query_is_labelled_in_words_and_holds_what_was_given(client: TestClient) -> None:
    for query, parameter in WITH:
        answer = page(client, f"/queries/{query.name}")
        [label] = re.findall(rf'<label>([^<]+)\n<(?:select|input) name="{parameter.name}"', answer)
        assert label[0].isupper() and "(" not in label and not re.search("[a-z][A-Z]", label), (query.name, label)
    given = page(client, "/queries/changes-between-plans?olderPlan=sp-2020-2023&newerPlan=sp-2024-2027")
    assert "Older plan" in given and given.count('<option value="sp-2020-2023" selected>') == 1


def test_an_answer_names_things_and_terms_in_words(client: TestClient) -> None:
    answer = page(client, "/queries/sdg-links?plan=buap-2018-2021&size=500")
    names_of_properties = re.findall(r">(?:itu:)?(contributesTo\w+|linkedTo\w+)<", answer)
    assert not names_of_properties and "Output 2.1 will contribute to" in answer
    counts = page(client, "/queries/things-by-plan-and-class")
    assert ">outcome indicator<" in counts and "Buenos Aires Action Plan 2018-2021</a>" in counts


def test_numbers_have_bars_as_long_as_they_are_large(client: TestClient) -> None:
    answer = page(client, "/queries/goals-across-plans?sort=-things")
    found = re.findall(r'<rect class="fill" width="([\d.]+)" height="7"/></svg></span>(\d+)</span>', answer)
    rows = table(client, "goals-across-plans", sort="-things")
    assert [int(number) for _, number in found] == [int(row["things"]) for row in rows] and len(found) > 20
    highest = int(rows[0]["things"])
    assert all(float(width) == round(100 * int(number) / highest, 1) for width, number in found)
    assert "<rect" not in page(client, "/queries/gaps-of-the-plan")


def test_the_snippets_of_an_answer_ask_the_same(client: TestClient) -> None:
    answer = page(client, "/queries/things-without-sdg?plan=buap-2018-2021&class=Output")
    said = {key: unescape(text) for key, text in re.findall(r'<code id="(\w+)">(.*?)</code>', answer, re.DOTALL)}
    assert {"permalink", "sparql", "python", "pandas", "curl"} <= said.keys()
    assert "kg.ask(\"things-without-sdg\", plan='buap-2018-2021', class_='Output')" in said["python"]
    [address] = re.findall(r'read_csv\("http://testserver([^"]+)"\)', said["pandas"])
    rows = table(client, "things-without-sdg", plan="buap-2018-2021", **{"class": "Output"})
    assert f"'http://testserver{address}'" in said["curl"]
    assert [*csv.DictReader(io.StringIO(client.get(address).text))] == rows and rows
    asked = client.get("/sparql", params={"query": said["sparql"]}, headers={"accept": "text/csv"}).text
    assert [*csv.DictReader(io.StringIO(asked))] == rows


# --- a question in a sentence ---


def test_a_sentence_finds_what_serves_a_target_and_on_what_grounds(client: TestClient) -> None:
    chosen = "class=Outcome&plan=bap-2026-2029&aim=4.4"
    assert "Nothing of what you chose serves it" in page(client, f"/ask?{chosen}&upTo=stated")
    answer = page(client, f"/ask?{chosen}&upTo=derived")
    rows = table(client, "who-serves", plan="bap-2026-2029", aim="4.4", upTo="derived", **{"class": "Outcome"})
    codes = list(dict.fromkeys(row["code"] for row in rows))
    assert "T2.3-O1" in codes
    assert re.findall(r'<span class="code">([^<]+)</span>', answer) == codes
    assert "derived, close" in answer and "derived, loose" in answer and 'class="basis stated' not in answer
    for code in codes:
        [link] = re.findall(rf'<a href="(/because[^"]+)">Why {code} serves 4.4', answer)
        assert client.get(unescape(link)).status_code == 200


def test_a_sentence_about_what_is_stated_quotes_the_document_with_its_place(client: TestClient) -> None:
    answer = page(client, "/ask?aim=4.4&plan=buap-2018-2021")
    assert answer.count("<blockquote") == 5 and "line 565 of" in answer and 'class="basis derived' not in answer
    assert '<option value="4.4" selected>' in answer and '<option value="stated" selected>' in answer


def test_a_code_that_is_a_goal_and_a_resolution_is_the_goal(client: TestClient) -> None:
    assert table(client, "who-serves", aim="9") == table(client, "who-serves", aim="sdg:9") != []
    assert "nearest" in refused(client, "who-serves", aim="9.z")
    assert client.get("/ask?aim=9.z").status_code == 400
    assert client.get("/ask", headers={"accept": "text/csv"}).status_code == 406


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
        assert header.get("bars", "") == query.bars
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
