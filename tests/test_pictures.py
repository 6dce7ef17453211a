"""Pictures: all things and links of a chain, a lineage and a matrix are in them, readable, and nothing lies over anything else."""

import html
import json
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import httpx2
import pytest
from conftest import Engine
from fastapi.testclient import TestClient
from test_cli import Run, itukg  # noqa: F401  (a fixture)
from test_docs import run_of
from test_resources import Page, get
from test_sparql import problem_of

from itukg import names
from itukg.errors import BadRequest
from itukg.formats import DOT, GRAPHML, MERMAID, PICTURE_FORMATS, SVG, Format
from itukg.pictures import MAX_CELLS, MAX_DRAWN, Edge, Field, Graph, Head, HeatMap, Node, write_picture
from itukg.pictures.content import BOX_WIDTH, CAPTION_HEIGHT, CAPTION_SIZE
from itukg.pictures.layout import Drawing, drawing
from itukg.pictures.text import ELLIPSIS, width, wrapped
from itukg.release.model import Release

ROOT = Path(__file__).parents[1]
OUTCOME = "bap-2026-2029/outcome/T1.1-O1"
MATRIX = "/matrix{}?rows=topic&columns=outputCategory&plan=bap-2026-2029"
CHAINS = [
    "/id/buap-2018-2021/output/2.1{}",
    "/id/buap-2018-2021/outcome/1.1{}",
    "/id/buap-2018-2021/activity/2.1-A17{}",
    "/id/sp-2020-2023/strategic-goal/2{}",
    "/id/bap-2026-2029-draft/output/OUT1{}",
    "/id/bap-2026-2029{}",
    "/id/wsis/C7{}",
    "/sdg/9.c{}",
    "/id/sdg/all{}",
    "/id/wsis{}",
]
LINEAGES = [
    f"/lineage/{OUTCOME}{{}}",
    "/lineage/buap-2018-2021/outcome/2.1{}",
    "/lineage/sp-2020-2023/objective/D.4{}",
    "/lineage/bap-2026-2029-draft/topic/FT1.1{}",
]
MATRICES = [
    MATRIX,
    "/matrix{}?rows=actionLine&columns=sdgGoal&plan=buap-2018-2021",
    "/matrix{}?rows=output&columns=sdgTarget&plan=buap-2018-2021&basis=stated,derived",
    "/matrix{}?rows=plan&columns=sdgGoal",
]
EVERY = [*CHAINS, *LINEAGES, *MATRICES]
_SVG, _GRAPHML = f"{{{names.SVG}}}", f"{{{names.GRAPHML}}}"


def svg_of(reply: httpx2.Response) -> ET.Element:
    assert reply.status_code == 200, reply.text
    return ET.fromstring(reply.text)  # noqa: S314  (we wrote it)


def graph_of(reply: httpx2.Response) -> tuple[dict[str, dict[str, str]], list[dict[str, str]]]:
    """The nodes of a GraphML by their ids, and its edges, with their attributes by name."""
    assert reply.status_code == 200, reply.text
    root = ET.fromstring(reply.text)  # noqa: S314
    called = {key.attrib["id"]: key.attrib["attr.name"] for key in root.iter(f"{_GRAPHML}key")}

    def said(element: ET.Element) -> dict[str, str]:
        return {called[data.attrib["key"]]: data.text or "" for data in element.iter(f"{_GRAPHML}data")}

    nodes = {node.attrib["id"]: said(node) for node in root.iter(f"{_GRAPHML}node")}
    assert len(nodes) == len([*root.iter(f"{_GRAPHML}node")])
    edges = [
        said(edge) | {end: edge.attrib[end] for end in ("source", "target")} for edge in root.iter(f"{_GRAPHML}edge")
    ]
    return nodes, edges


def network(client: TestClient, address: str) -> tuple[dict[str, dict[str, str]], list[dict[str, str]]]:
    return graph_of(client.get(address.format(".graphml")))


# --- what an SVG is ---


@pytest.mark.parametrize("address", EVERY)
def test_a_picture_is_complete_in_itself_and_says_what_it_shows(client: TestClient, address: str) -> None:
    assert len(EVERY) == 18
    root = svg_of(client.get(address.format(".svg")))
    assert root.tag == f"{_SVG}svg"
    assert root.attrib["role"] == "graphics-document document"
    labelled = {each: root.find(f"*[@id='{each}']") for each in root.attrib["aria-labelledby"].split()}
    assert [each.tag for each in labelled.values() if each is not None and each.text] == [f"{_SVG}title", f"{_SVG}desc"]
    ids = [each.attrib["id"] for each in root.iter() if "id" in each.attrib]
    assert len(ids) == len({*ids}) >= 3
    assert {each.tag.removeprefix(_SVG) for each in root.iter()} <= {
        "svg", "title", "desc", "style", "defs", "marker", "path", "rect", "g", "a", "text", "tspan",
    }  # fmt: skip
    for each in root.iter():
        for name, value in each.attrib.items():
            assert not name.startswith("on") and name != "style", name
            assert "url(" not in value or value == "url(#head)"
            assert name != "href" or (each.tag == f"{_SVG}a" and value.startswith(("/", "http://testserver/")))
    [style] = root.iter(f"{_SVG}style")
    assert not re.search(r"url|import|//", style.text or "") and "prefers-color-scheme:dark" in (style.text or "")
    shown = " ".join(text.text or "" for text in root.iter(f"{_SVG}text"))
    assert "Source: itukg, release " in shown


@pytest.mark.parametrize("address", [CHAINS[1], LINEAGES[0], MATRICES[0]])
def test_every_link_in_a_picture_answers(client: TestClient, address: str) -> None:
    root = svg_of(client.get(address.format(".svg")))
    links = {each.attrib["href"] for each in root.iter(f"{_SVG}a")}
    assert len(links) > 6
    for link in links:
        assert client.get(link, headers={"accept": "text/html"}).status_code == 200, link


# --- what is in it ---


@pytest.mark.parametrize("address", [*CHAINS, *LINEAGES])
def test_every_thing_and_link_of_the_network_is_in_the_picture(client: TestClient, address: str) -> None:
    root = svg_of(client.get(address.format(".svg")))
    nodes, edges = network(client, address)
    drawn = Counter(each.attrib["data-id"] for each in root.iter(f"{_SVG}g") if "data-id" in each.attrib)
    assert {*drawn} == {*nodes}
    titles = {
        g.attrib["data-id"]: "".join(t.text or "" for t in g.iter(f"{_SVG}title"))
        for g in root.iter(f"{_SVG}g")
        if "data-id" in g.attrib
    }
    for iri, said in nodes.items():
        heading, _, label = said["label"].partition(": ")
        assert titles[iri].startswith(heading) and label in titles[iri]
    in_words = (root.findtext(f"{_SVG}desc") or "").removesuffix(".").split(". ") if edges else []
    assert len(in_words) == len(edges) or any(". " in said["label"].partition(":")[0] for said in nodes.values())
    headings = {iri: said["label"].partition(": ")[0] for iri, said in nodes.items()}
    for edge in edges:
        told = ", ".join(filter(None, (edge.get("basis"), edge.get("strength")))) or "structure"
        sentence = f"{headings[edge['source']]} {edge['label']} {headings[edge['target']]} ({told})"
        assert sentence in (root.findtext(f"{_SVG}desc") or ""), sentence
    shown = " ".join(text.text or "" for text in root.iter(f"{_SVG}text"))
    assert all(label in shown for label in {edge["label"] for edge in edges})


def test_a_chain_is_what_the_graph_says_of_it(client: TestClient, store: Engine) -> None:
    """Asked in another way: step by step over direct links, and over the Linkages of the thing."""
    for path in ("buap-2018-2021/output/2.1", "buap-2018-2021/outcome/1.1", "bap-2026-2029-draft/output/OUT1"):
        iri = names.THINGS + path
        direct = {
            (row["s"].value, names.shorten(row["p"].value).removeprefix("itu:"), row["o"].value)
            for row in store.rows(
                f"{names.PROLOGUE}SELECT ?s ?p ?o WHERE {{ ?s ?p ?o . ?p rdfs:subPropertyOf itu:contributesTo }}"
            )
        }
        for start, end in ((0, 2), (2, 0)):
            reached, new = {iri}, {iri}
            while new:
                new = {link[end] for link in direct if link[start] in new} - reached
                reached |= new
            chain = {link for link in direct if {link[0], link[2]} <= reached}
            assert chain or start == 2
            _, edges = network(client, f"/id/{path}{{}}")
            assert chain <= {(edge["source"], edge["predicate"], edge["target"]) for edge in edges}
        document = client.get(f"/id/{path}.jsonld").json()
        linked = {
            (linkage["predicate"], end if "://" in end else names.BASE + end)
            for linkage in document.get("linkages", [])
            for end in ([linkage["objects"]] if isinstance(linkage["objects"], str) else linkage["objects"])
            if linkage["predicate"] not in ("succeeds", "restates", "revises", "merges", "splits")
        }
        assert linked <= {(edge["predicate"], edge["target"]) for edge in edges if edge["source"] == iri}


def test_a_reader_finds_the_chain_of_an_outcome_as_the_plan_prints_it(client: TestClient) -> None:
    """Document 003: Outputs 1.1, 1.2 and 1.5 name Outcome 1.1 (lines 131, 149, 196), which is one of Objective 1."""
    nodes, edges = network(client, CHAINS[1])
    plan = f"{names.THINGS}buap-2018-2021/"
    to_outcome = {edge["source"] for edge in edges if edge["predicate"] == "deliversOutcome"}
    assert to_outcome == {f"{plan}output/{code}" for code in ("1.1", "1.2", "1.5")}
    assert {edge["target"] for edge in edges if edge["predicate"] == "outcomeOf"} == {f"{plan}objective/1"}
    assert {edge["basis"] for edge in edges if edge["predicate"] == "deliversOutcome"} == {"stated"}
    assert [
        said["class"] for iri, said in nodes.items() if said["focus"] == "true" and iri == f"{plan}outcome/1.1"
    ] == ["Outcome"]


@pytest.mark.parametrize("address", LINEAGES)
def test_a_lineage_has_its_plans_as_columns_in_time_and_its_steps_with_their_strength(
    client: TestClient, address: str
) -> None:
    document = client.get(address.format(".json")).json()
    root = svg_of(client.get(address.format(".svg")))
    _, edges = network(client, address)
    steps = sorted((s["newer"]["iri"], s["relation"], s["older"]["iri"], s["strength"]) for s in document["steps"])
    assert steps == sorted((e["source"], e["label"], e["target"], e["strength"]) for e in edges)
    place = {
        each.attrib["data-id"]: float(rect.attrib["x"])
        for each in root.iter(f"{_SVG}g")
        if "data-id" in each.attrib and (rect := each.find(f".//{_SVG}rect")) is not None
    }
    columns = [{x for iri, x in place.items() if iri.startswith(f"{plan}/")} for plan in document["plans"]]
    assert all(len(column) == 1 for column in columns)
    assert [min(column) for column in columns] == sorted((min(column) for column in columns), reverse=True)
    shown = " ".join(text.text or "" for text in root.iter(f"{_SVG}text"))
    assert ("(loose)" in shown) == any(step["strength"] == "loose" for step in document["steps"])


@pytest.mark.parametrize("address", MATRICES)
def test_a_heat_map_has_the_counts_and_states_of_the_matrix(client: TestClient, address: str) -> None:
    document = client.get(address.format(".json")).json()
    root = svg_of(client.get(address.format(".svg")))
    drawn = Counter(
        (link.attrib["href"], "".join(text.text or "" for text in link.iter(f"{_SVG}text")))
        for field in root.iter(f"{_SVG}g")
        if field.attrib.get("class") == "field"
        for link in field.iter(f"{_SVG}a")
    )
    counted = {(cell["id"], str(cell["count"])) for cell in document["cells"] if cell["count"]}
    bare = {(cell["id"], cell["state"]) for cell in document["cells"] if not cell["count"]}
    assert counted and counted <= {*drawn} <= counted | bare
    assert max(drawn.values()) == 1
    left_out = "Left out, because nothing is counted in them: 0 rows, 78 columns." in "".join(root.itertext())
    assert left_out == ("sdgTarget" in address)
    assert left_out or {*drawn} == counted | bare


@pytest.mark.parametrize("address", MATRICES)
def test_the_network_of_a_matrix_has_the_links_of_its_evidence(client: TestClient, address: str) -> None:
    document = client.get(address.format(".json")).json()
    nodes, edges = network(client, address)
    links = {
        (link["subject"], link["predicate"], link["object"], link["basis"], link["strength"])
        for cell in document["cells"]
        for each in cell["evidence"]
        for link in each["links"]
    }
    found = {
        (edge["source"], names.ITU + edge["predicate"], edge["target"], edge["basis"], edge.get("strength"))
        for edge in edges
        if "basis" in edge
    }
    assert found == links != set()
    assert {item["id"] for side in ("rows", "columns") for item in document[side]} <= {*nodes}
    things = {each["thing"]["id"] for cell in document["cells"] for each in cell["evidence"] if "thing" in each}
    assert things <= {*nodes}
    assert all(said.get("class") for said in nodes.values())


# --- the layout ---


def some_graph(size: int, label: str = "A label of some words that has to be broken into lines") -> Graph:
    nodes = [Node(f"urn:{n}", f"{label} {n}", "Thing", str(n), column=n % 4, focus=n == 1) for n in range(size)]
    ends = [(a, b) for a in range(size) for b in range(size) if a % 4 < b % 4 and (a * 7 + b) % 5 == 0]
    edges = [
        Edge(f"urn:{a}", f"urn:{b}", "p", ("leads to", "contributes to a target")[a % 2], "stated") for a, b in ends
    ]
    return Graph("A graph", tuple(nodes), tuple(edges))


def rectangles(drawn: Drawing) -> list[tuple[float, float, float, float]]:
    """Left, upper, right and lower edge of each box and caption."""
    boxes = [(box.x, box.y, box.x + BOX_WIDTH, box.y + box.height) for box in drawn.boxes]
    for caption in drawn.captions:
        wide = max(width(line, CAPTION_SIZE) for line in caption.lines)
        left = caption.x if caption.anchor == "start" else caption.x - wide
        boxes.append((left, caption.y - CAPTION_HEIGHT * len(caption.lines), left + wide, caption.y))
    return boxes


@pytest.mark.parametrize("size", [1, 2, 5, 12, 30, 60])
def test_boxes_and_captions_stand_apart(size: int) -> None:
    drawn = drawing(some_graph(size))
    assert len(drawn.boxes) == size and len(drawn.lines) == len(some_graph(size).edges)
    assert size < 5 or len(drawn.captions) >= 2
    for one, other in combinations(rectangles(drawn), 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)


@pytest.mark.parametrize("size", [5, 12, 30])
def test_a_line_ends_at_its_boxes_passes_no_other_and_bends_beside_boxes_and_captions(size: int) -> None:
    drawn = drawing(some_graph(size))
    boxes = {box.node.id: box for box in drawn.boxes}
    bends = 0
    for line in drawn.lines:
        numbers = [float(n) for n in re.findall(r"[\d.]+", line.path)]
        source, target = boxes[line.edge.source], boxes[line.edge.target]
        assert numbers[0] == source.x + BOX_WIDTH and source.y <= numbers[1] <= source.y + source.height
        assert numbers[-1] == target.x and target.y <= numbers[-2] <= target.y + target.height
        x, y = numbers[0], numbers[1]
        for part in re.findall(r"H[\d.]+|C[\d. ]+", line.path):
            given = [float(n) for n in part[1:].split()]
            if part[0] == "H":
                [end], level = given, y
                passed = [b for b in boxes.values() if b.y < y < b.y + b.height and x < b.x + BOX_WIDTH and end > b.x]
                assert not passed, (line.path, passed)
            else:
                bends += 1
                end, level = given[-2:]
                assert x < end
                beside = [each for each in rectangles(drawn) if x < each[2] and end > each[0]]
                assert not beside, (line.path, beside)
            x, y = end, level
        assert (x, y) == (numbers[-1], numbers[-2])
    assert bends > 3


def test_the_order_in_the_columns_takes_the_lines_apart() -> None:
    nodes = [
        Node(f"urn:{side}{n}", "", "Thing", str(n), column=column) for column, side in enumerate("ab") for n in range(6)
    ]
    edges = [Edge(f"urn:a{n}", f"urn:b{5 - n}", "p", "leads to") for n in range(6)]
    drawn = drawing(Graph("", tuple(nodes), tuple(edges)))
    y = {box.node.id: box.y for box in drawn.boxes}
    left = sorted(range(6), key=lambda n: y[f"urn:a{n}"])
    assert left == sorted(range(6), key=lambda n: y[f"urn:b{5 - n}"])


@pytest.mark.parametrize(
    ("text", "most", "lines"),
    [("", 100, 2), ("word", 100, 2), ("a few words in two lines", 80, 2), ("words " * 50, 120, 3), ("x" * 500, 90, 4), ("漢字" * 40, 90, 3)],
)  # fmt: skip
def test_text_is_whole_or_ends_in_an_ellipsis_and_is_never_too_wide(text: str, most: float, lines: int) -> None:
    found = wrapped(text, 12, most, lines)
    assert len(found) <= lines
    assert all(width(line, 12) <= most for line in found)
    kept = "".join(found).replace(" ", "")
    whole = text.replace(" ", "")
    assert kept == whole or (kept.endswith(ELLIPSIS) and whole.startswith(kept.removesuffix(ELLIPSIS)))


# --- hostile labels ---

HOSTILE = [
    "</title><script>alert(1)</script>", '" onload="alert(1)', "' & < > ]]> &amp; &#60;", 'a "quoted" \\ back\\nslash \\N \\', "a`b`*c*_d_#35;#quot;",
    "1. list [x](javascript:alert(1)) {a} |b| ;; %%{init}%%", "new\nline\r\n\ttab", "\u2028\u202e reversed", "nul \x00 bell \x07 \ufffe", "]]>--><![CDATA[", "é→ü 漢字 😀", "click end subgraph",
]  # fmt: skip


def hostile(text: str) -> Graph:
    nodes = (
        Node("urn:a?x=<\">&'", text, text, text, text, text, "/id/a", 0, focus=True),
        Node("urn:b", text, "Thing", "b", column=1),
        Node("urn:c", text, text, "c", column=1, aside=True),
    )
    edges = (
        Edge(nodes[0].id, "urn:b", text, text, "stated", "", "/because?a=<&>"),
        Edge(nodes[0].id, "urn:c", "p", text, "judged", "loose"),
    )
    return Graph(text, nodes, edges, (text, text), text)


def plain(text: str) -> str:
    """What a syntax may keep of a text: its letters, and white space as one blank."""
    return " ".join(re.sub("[\x00\x07\ufffe]", "\N{REPLACEMENT CHARACTER}", text).split())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_label_is_text_in_every_syntax(text: str) -> None:
    assert len(HOSTILE) == 12
    written = {syntax: write_picture(hostile(text), syntax).decode() for syntax in PICTURE_FORMATS}
    root = ET.fromstring(written[SVG])  # noqa: S314
    assert plain(root.findtext(f"{_SVG}title") or "") == plain(text)
    assert not {"script", "image", "foreignObject"} & {each.tag.removeprefix(_SVG) for each in root.iter()}
    assert not [name for each in root.iter() for name in each.attrib if name.startswith("on")]
    titles = [plain(title.text or "") for title in root.iter(f"{_SVG}title")]
    assert any(title.endswith(plain(text)) for title in titles[1:])
    nodes, edges = graph_of(httpx2.Response(200, text=written[GRAPHML]))
    assert {plain(nodes["urn:b"]["label"]), plain(edges[0]["label"])} == {f"Thing b: {plain(text)}", plain(text)}
    assert {*nodes} == {"urn:a?x=<\">&'", "urn:b", "urn:c"}
    lines = written[MERMAID].splitlines()
    labels = [found[1] for line in lines if (found := re.fullmatch(r'  n\d\["([^"<>`|\[\]{}]*)"\](?::::focus)?', line))]
    assert len(labels) == 3 and len(lines) == 2 + 1 + 3 + 2 + 3 + 1
    assert html.unescape(re.sub(r"#(\d+);", r"&#\1;", labels[1])) == f"Thing b: {plain(text)}"
    strings = re.findall(r'"((?:[^"\\\n]|\\.)*)"', written[DOT])
    rest = re.sub(r'"(?:[^"\\\n]|\\.)*"', "", written[DOT])
    assert not re.search(r'["\\]', rest) and rest.count("[") == rest.count("]") == 8
    unescaped = [html.unescape(re.sub(r"\\(.)", r"\1", each)) for each in strings]
    assert plain(text) in unescaped


# --- how they are served ---


@pytest.mark.parametrize("syntax", PICTURE_FORMATS, ids=lambda each: each.name)
@pytest.mark.parametrize("address", [CHAINS[1], LINEAGES[0], MATRICES[0]])
def test_suffix_accept_and_format_choose_the_same_picture(client: TestClient, address: str, syntax: Format) -> None:
    assert {each.name: each.media_type for each in PICTURE_FORMATS} == {
        "svg": "image/svg+xml",
        "mmd": "text/vnd.mermaid",
        "graphml": "application/graphml+xml",
        "dot": "text/vnd.graphviz",
    }
    bare = address.format("")
    by_suffix = client.get(address.format(syntax.suffix))
    by_accept = get(client, bare, syntax.media_type)
    by_format = get(client, f"{bare}{'&' if '?' in bare else '?'}format={syntax.name}", "text/html")
    for reply in (by_suffix, by_accept, by_format):
        assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (200, syntax.media_type)
        assert reply.headers["vary"] == "Accept, Accept-Encoding" and 'rel="license"' in reply.headers["link"]
        assert reply.content == by_suffix.content
    known = client.get(address.format(syntax.suffix), headers={"if-none-match": by_suffix.headers["etag"]})
    assert known.status_code == 304
    zipped = client.get(address.format(syntax.suffix), headers={"accept-encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip" and zipped.content == by_suffix.content


def test_a_browser_that_asks_for_an_image_gets_one_and_others_what_they_got_before(client: TestClient) -> None:
    thing = CHAINS[1].format("")
    image = get(client, thing, "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8")
    assert image.headers["content-type"] == SVG.media_type
    assert get(client, thing).headers["content-type"] == "application/ld+json"
    assert get(client, thing, "text/html,*/*;q=0.8").headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/id/none.svg", 404, "Nothing is known"),
        ("/lineage/none.svg", 404, "Nothing is known"),
        ("/id/buap-2018-2021/output.svg", 404, "known suffixes"),
        ("/compare.svg?a=sp-2020-2023&b=sp-2024-2027", 404, "known suffixes"),
        ("/id/wsis/C1.svg?format=dot", 400, "leave one out"),
        ("/id/wsis/C1.svg?profile=expanded", 404, "known suffixes: .jsonld"),
        ("/matrix.svg?rows=none&columns=plan", 400, "for rows"),
        ("/matrix.svg?rows=instrument&columns=sdgTarget", 400, f"more than the {MAX_CELLS} that a picture holds"),
        ("/matrix.mmd?rows=output&columns=sdgTarget", 400, "or ask for dot or graphml."),
        ("/embed/matrix?rows=instrument&columns=sdgTarget", 400, "name a plan, a row or a column"),
        ("/embed/id/none", 404, "Nothing is known"),
        ("/embed/matrix?rows=output", 400, "columns"),
        ("/embed/id/wsis/C1?format=svg", 406, "available: html"),
        ("/embed/id/wsis/C1.svg", 404, "Nothing is known"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_to_ask_instead(
    client: TestClient, path: str, status: int, said: str
) -> None:
    assert said in problem_of(get(client, path), status)["detail"]


def test_what_is_too_large_for_people_is_there_for_programs(client: TestClient) -> None:
    nodes, edges = network(client, "/matrix{}?rows=output&columns=sdgTarget")
    assert len(nodes) > MAX_DRAWN[MERMAID][0] and len(edges) > 150


def test_every_plan_is_small_enough_to_be_drawn(client: TestClient, release: Release) -> None:
    plans = release.overview.values["plan"]
    assert len(plans) == 6
    for plan in plans:
        assert svg_of(client.get(f"/id/{names.shorten(plan.iri)}.svg")).tag == f"{_SVG}svg"


@pytest.mark.parametrize("syntax", PICTURE_FORMATS, ids=lambda each: each.name)
def test_a_picture_holds_as_much_as_it_says_and_no_more(syntax: Format) -> None:
    most, _ = MAX_DRAWN[syntax]
    nodes = tuple(Node(f"urn:{n}", "") for n in range(most + 1))
    assert write_picture(Graph("", nodes[:most], (), narrower="ask for less"), syntax)
    with pytest.raises(BadRequest, match="ask for less"):
        write_picture(Graph("", nodes, (), narrower="ask for less"), syntax)


def test_a_heat_map_without_a_cell_is_one() -> None:
    empty = HeatMap("Nothing", [Head("a", "A")], [Head("b", "B")], {})
    assert ET.fromstring(write_picture(empty, SVG)).findtext(f"{_SVG}desc") == "No cell has a link."  # noqa: S314
    one = HeatMap("One", [Head("a", "A")], [Head("b", "B")], {(0, 0): Field(3, "stated", "a and b: 3 stated")})
    assert "a and b: 3 stated" in write_picture(one, SVG).decode()


# --- in frames ---


EMBEDDED = ["/embed/id/buap-2018-2021/outcome/1.1", "/embed/sdg/9.c", f"/embed/lineage/{OUTCOME}", f"/embed{MATRIX.format('')}"]  # fmt: skip


@pytest.mark.parametrize("path", EMBEDDED)
def test_a_page_for_frames_has_only_the_picture_and_a_link_back(client: TestClient, path: str) -> None:
    assert len(EMBEDDED) == 4
    reply = client.get(path)
    page = Page(reply)
    policy = dict(rule.split(" ", 1) for rule in reply.headers["content-security-policy"].split("; "))
    assert policy["frame-ancestors"] == "*" and policy["default-src"] == "'none'"
    assert len(reply.headers.get_list("content-security-policy")) == 1 and "x-frame-options" not in reply.headers
    assert not {"script", "link", "img", "iframe", "form", "header", "nav"} & {*page.elements}
    back = path.removeprefix("/embed")
    assert page.links[-1] == back
    assert client.get(back, headers={"accept": "text/html"}).status_code == 200
    parts = urlsplit(back)
    picture = client.get(f"{parts.path}.svg{'?' if parts.query else ''}{parts.query}").text
    drawn = re.search(r"<svg.*</svg>", reply.text, re.DOTALL)
    assert drawn is not None
    # The address of a cell says in which syntax it was asked for, or not.
    assert drawn[0] == picture.strip()
    assert "Source: itukg, release " in page.text


def test_only_pages_for_frames_may_stand_in_frames(client: TestClient) -> None:
    paths = ["/", "/id/wsis/C1.html", "/id/wsis/C1.svg", f"/lineage/{OUTCOME}.html", MATRIX.format(".html"), "/embed/id/none", "/embed/nothing"]  # fmt: skip
    for path in paths:
        assert "frame-ancestors 'none'" in client.get(path).headers["content-security-policy"], path


# --- other ways ---


COMMANDS = [
    (("describe", "buap-2018-2021/outcome/1.1"), CHAINS[1]),
    (("lineage", OUTCOME), LINEAGES[0]),
    (("matrix", "--rows", "topic", "--columns", "outputCategory", "--plan", "bap-2026-2029"), MATRICES[0]),
]


@pytest.mark.parametrize(("command", "address"), COMMANDS, ids=lambda each: each[0] if isinstance(each, tuple) else "")
def test_the_commands_draw_what_the_service_draws(
    client: TestClient,
    itukg: Run,  # noqa: F811
    command: tuple[str, ...],
    address: str,
    tmp_path: Path,
) -> None:
    for syntax in PICTURE_FORMATS:
        file = tmp_path / f"picture{syntax.suffix}"
        done = itukg(*command, "--format", syntax.name, "-o", str(file))
        assert done.returncode == 0, done.stderr
        served = client.get(address.format(syntax.suffix)).text
        # Of a cell, the service gives an address of its own.
        assert file.read_text() == served.replace("http://testserver", "")


def test_the_commands_on_pictures_do_what_the_page_says(tmp_path: Path, server: str, home: Path) -> None:
    printed = run_of((ROOT / "docs" / "pictures.md").read_text(), tmp_path, server, home)
    assert len(printed) == 9
    for name in ("1.1.svg", "lineage.svg", "matrix.svg", "chain.svg"):
        assert ET.parse(tmp_path / name).getroot().tag == f"{_SVG}svg"  # noqa: S314
    assert ET.parse(tmp_path / "network.graphml").getroot().tag == f"{_GRAPHML}graphml"  # noqa: S314
    assert "flowchart LR" in printed[5] and (tmp_path / "network.dot").read_text().startswith("digraph")
    assert printed[7] == "1\n" and "name a plan" in printed[8]


@pytest.mark.exhaustive
def test_networkx_reads_every_graphml_typed(client: TestClient, tmp_path: Path) -> None:
    """In an environment of its own: networkx is the reader that most will use, and not one of ours."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "networkx==3.6.1"], check=True)
    script = "import json, sys, networkx\ng = networkx.read_graphml(sys.argv[1])\nprint(json.dumps([[*g.nodes(data=True)], [*g.edges(data=True)]]))"
    for address in EVERY:
        (tmp_path / "network.graphml").write_bytes(client.get(address.format(".graphml")).content)
        done = subprocess.run([python, "-c", script, tmp_path / "network.graphml"], capture_output=True, check=True)
        read: list[list[Any]] = json.loads(done.stdout)
        nodes, edges = network(client, address)
        typed = {iri: {**said, "focus": said["focus"] == "true"} for iri, said in nodes.items()}
        assert dict(read[0]) == typed
        assert len(read[1]) == len(edges)
