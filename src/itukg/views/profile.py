"""What the page of a thing tells: where it stands, whom it serves, what measures and pays it, what it takes up, what is open.

Each section is one quick query, which the page shows too; all run at once. What no section tells stands in a table of
properties, and everything once more, in the words of machines, under "Data".
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from itukg import names
from itukg.engine.store import Store, texts
from itukg.pages import address, local_link, render, thousands
from itukg.rdf import jsonld
from itukg.rdf.jsonld import natural
from itukg.release.model import Release
from itukg.release.overview import FILTERS, Overview
from itukg.views.because import RULES
from itukg.views.chain import Ladder, ladder, placed
from itukg.views.citation import Cited, citations
from itukg.views.linked import STATES
from itukg.views.listing import Item
from itukg.views.plan import STATUSES, plan_sections
from itukg.views.sections import BESIDE, GAP_KINDS, SECTIONS, written
from itukg.views.thing import check_known, is_iri
from itukg.views.words import word_diff

MIN_LIKENESS = 0.4
"""The share of a sentence, from 0 to 1, that another must have kept for a page to mark what changed between the two."""

_RDFS, _SKOS, _DCTERMS = (names.PREFIXES[prefix] for prefix in ("rdfs", "skos", "dcterms"))
_ENDS = tuple(names.ITU + name for name in ("subject", "predicate", "object"))
"""What a Linkage links: of machines on other pages, and what its own page is about."""
_TOLD = (
    _RDFS + "label", _SKOS + "notation", _SKOS + "definition", _DCTERMS + "source",
    *(names.ITU + n for n in ("section", "line", "plan", "quote", "succeededBy", "hasBudget", "contributesTo")),
)  # fmt: skip
"""The properties that the head of a page and its sections tell."""
_OF_PLAN = (*(names.ITU + name for name in ("startYear", "endYear", "status")), _SKOS + "note")
"""Those that the head of a plan's page tells."""
Row = Mapping[str, str]


@dataclass(frozen=True)
class Said:
    """Where words stand: a document with what it is called, section and line."""

    document: str = ""
    called: str = ""
    section: str = ""
    line: str = ""


@dataclass
class Ground:
    """Links by one property that rest on the same: a sentence, a reason or a rule."""

    state: str
    words: str
    quoted: bool
    said: Said
    again: bool = False
    """Whether its sentence stands on the page already."""
    links: dict[str, Item] = field(default_factory=dict)

    @property
    def basis(self) -> str:
        """The basis, without strength."""
        return self.state.partition(" ")[0]

    @property
    def strength(self) -> str:
        """The strength of a derived link."""
        return self.state.partition(" ")[2]


async def profile_page(store: Store, release: Release, iri: str, at: str = names.BASE.rstrip("/")) -> bytes:
    """Return the page of a thing; `at` is the address of the service. Raises NotFound and Gone as `describe` does."""
    page, queries = await _page_of(store, release, iri)
    shown = {"at": at, "queries": queries, **page.sections()}
    if iri not in {value.iri for value in release.overview.values["plan"]}:
        return render("thing.html", **shown)
    return render("plan.html", **shown, **page.of_plan(), **await plan_sections(store, release, iri))


async def profile_text(store: Store, release: Release, iri: str) -> bytes:
    """Return what the page of a thing tells as plain text, for a terminal. Raises NotFound and Gone as `describe` does."""
    page, _ = await _page_of(store, release, iri)
    return render("thing.txt", **page.sections())


async def _page_of(store: Store, release: Release, iri: str) -> tuple["_Page", dict[str, str]]:
    """Return the sections of a thing, and the queries behind them."""
    if not is_iri(iri):
        check_known(iri, [], known=False)
    steps = await ladder(store)
    queries = {name: written(text, iri, steps) for name, text in SECTIONS.items()}
    found = dict(zip(queries, await asyncio.gather(*(texts(store, query) for query in queries.values())), strict=True))
    found["own"] = found["own"] or await texts(store, written(BESIDE, iri, steps))
    said = [(row["property"], row["value"]) for row in found["own"]]
    check_known(iri, said, known=bool(said or found["incoming"]))
    return _Page(iri, release, steps, found), queries


class _Page:
    """The sections of a page, from the rows of their queries."""

    def __init__(self, iri: str, release: Release, steps: Ladder, found: Mapping[str, list[dict[str, str]]]) -> None:
        self._iri, self._release, self._steps, self._found = iri, release, steps, found
        self._overview: Overview = release.overview
        self._own: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in sorted(found["own"], key=lambda row: natural(row["value"])):
            self._own[row["property"]].append(row)

    def sections(self) -> dict[str, Any]:
        """Return what the template takes."""
        iri, overview = self._iri, self._overview
        label = self._one(_RDFS + "label") or self._one(_DCTERMS + "title") or names.shorten(iri)
        types = [row["value"] for row in self._own[names.RDF_TYPE]]
        types.sort(key=lambda kind: not kind.startswith(names.ITU))
        plan = next(iter(self._own[names.ITU + "plan"]), None)
        said = self._said_of({name: self._own_text(name) for name in ("document", "section", "line")})
        levels, below = placed(iri, self._found["chain"])
        grounds = self._grounds()
        serving = {p for f in FILTERS if f.name in ("sdg", "actionLine") for p in f.properties}
        serving -= {p for f in FILTERS if f.name == "instrument" for p in f.properties}
        cited = Cited(
            iri, label, overview.reader(types[0]) if types else "", self._one(_SKOS + "notation"),
            plan["label"] if plan else "", said.called, said.section, said.line, self._one(names.ITU + "ownWords") != "true",
        )  # fmt: skip
        return {
            "iri": iri,
            "path": address(iri),
            "label": label,
            "code": cited.code,
            "kind": cited.kind,
            "sentence": overview.sentence(types[0]) if types else "",
            "plan": Item(plan["value"], label=plan["label"]) if plan else None,
            "official": cited.official and bool(said.line),
            "definition": self._one(_SKOS + "definition"),
            "words": self._one(names.ITU + "quote"),
            "said": said,
            "levels": levels,
            "below": self._by_class(each for each in below if each.property != names.ITU + "indicatorOf"),
            "counts": self._counts(grounds) if levels or below else [],
            "in_chain": bool(levels or below),
            "serves": [each for each in grounds if names.shorten(each[0]) in serving],
            "no_sdg": any(row["property"] in self._steps.contributing for row in self._found["chain"])
            and not any(names.shorten(each[0]) in FILTERS[2].properties for each in grounds),
            "rests": [each for each in grounds if names.shorten(each[0]) not in serving],
            "rules": RULES,
            "measured": self._measured(),
            "paid": self._paid(),
            "before_and_after": self._succession(label),
            "notes": [row | {"kind": overview.reader(row["class"])} for row in self._found["notes"]],
            "lineage": local_link(iri).replace("/id/", "/lineage/", 1),
            "open": self._open(),
            "findings": [f for f in self._release.report.findings if f.focus == iri and f.stands],
            "release": self._release,
            "citations": citations(cited, self._release.name, self._release.built),
            "particulars": self._particulars(grounds),
            "data": self._data(),
            "reader": overview.reader,
        }

    def of_plan(self) -> dict[str, Any]:
        """Return what the head of a plan's page tells: years, status, and the notes of its document."""
        start, end, status, _ = (self._one(predicate) for predicate in _OF_PLAN)
        return {
            "years": "-".join(dict.fromkeys(filter(None, (start, end)))),
            "status": status,
            "statuses": STATUSES,
            "plan_notes": [row["value"] for row in self._own[_SKOS + "note"]],
            "gap_kinds": GAP_KINDS,
        }

    def _one(self, predicate: str) -> str:
        return next((row["value"] for row in self._own[predicate]), "")

    def _own_text(self, name: str) -> str:
        return self._one(_DCTERMS + "source" if name == "document" else names.ITU + name)

    def _said_of(self, row: Row) -> Said:
        called = row.get("called", "")
        if row.get("document") and not called:
            called = next((each.get("label", "") for each in self._own[_DCTERMS + "source"]), "")
        return Said(row.get("document", ""), called, row.get("section", ""), row.get("line", ""))

    def _by_class(self, below: Iterable[Any]) -> list[tuple[str, list[Any]]]:
        groups = defaultdict[str, list[Any]](list)
        for each in below:
            groups[each.item.type].append(each)
        return [(self._overview.reader(kind), groups[kind]) for kind in sorted(groups)]

    def _grounds(self) -> list[tuple[str, list[Ground]]]:
        """Return each property of links with evidence, and its links by what they rest on, the best first."""
        found: dict[str, dict[tuple[str, ...], Ground]] = defaultdict(dict)
        for row in self._found["serves"]:
            state = " ".join(filter(None, (row["basis"].removeprefix(names.ITU), row.get("strength"))))
            words = row.get("quote") or row.get("rationale") or RULES.get(row.get("rule", ""), "")
            key = state, words, row.get("line", "")
            ground = found[row["property"]].setdefault(key, Ground(state, words, "quote" in row, self._said_of(row)))
            ground.links.setdefault(row["object"], self._linked(row))
        for grounds in found.values():
            for ground in grounds.values():
                ground.links = dict(sorted(ground.links.items(), key=lambda each: _place(each[1])))
        order = [names.expand(p) for f in FILTERS for p in f.properties]
        ranked = sorted(found, key=lambda each: (order.index(each) if each in order else len(order), _rank(each)))
        groups = [(each, sorted(found[each].values(), key=_order)) for each in ranked]
        quoted = set[tuple[str, Said]]()
        for ground in (ground for _, grounds in groups for ground in grounds if ground.quoted):
            ground.again = (ground.words, ground.said) in quoted
            quoted.add((ground.words, ground.said))
        return groups

    def _counts(self, grounds: Iterable[tuple[str, list[Ground]]]) -> list[tuple[int, str, str]]:
        """Return what the sections count: numbers, of what, and where."""
        bases = defaultdict[str, set[str]](set)
        for predicate, of in grounds:
            if names.shorten(predicate) in FILTERS[2].properties:
                for ground in of:
                    bases["derived" if ground.basis == "derived" else "not derived"] |= {*ground.links}
        only = bases["derived"] - bases["not derived"]
        told = (
            (len(bases["not derived"]), "SDG links with evidence", "#serves"), (len(only), "SDG links only derived", "#serves"),
            (len(self._measured()), "indicators", "#measured"), (len(self._open()), "open points", "#open"),
        )  # fmt: skip
        return [
            (number, words if number != 1 else words.replace("s ", " ", 1).removesuffix("s"), at)
            for number, words, at in told
            if number
        ]

    def _linked(self, row: Row) -> Item:
        """Return what a link leads to; the code of an instrument says whose it is, as in "Resolution 34 (WTDC)"."""
        item = _item(row, "object")
        if "body" not in row:
            return item
        if f"({row['body']})" in item.label or not item.notation[:1].isdecimal():
            return replace(item, notation="")
        return replace(item, notation=f"{self._overview.reader(row['class'])} {item.notation} ({row['body']})")

    def _measured(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for row in self._found["measured"]:
            basis = row.get("basis", "").removeprefix(names.ITU)
            each = found.setdefault(row["indicator"], {"item": _item(row, "indicator"), "basis": basis, "like": {}})
            if "like" in row:
                each["like"][row["like"]] = Item(row["like"], notation=row.get("likeCode", ""), label=row["likeLabel"])
        return sorted(found.values(), key=lambda each: _place(each["item"]))

    def _paid(self) -> list[dict[str, Any]]:
        """Return the amounts for the thing; where none is printed, those for what it stands under."""
        own = [row for row in self._found["paid"] if row["of"] == self._iri]
        rows = [
            {
                "item": _item(row, "of"), "own": bool(own), "amount": f"{row['currency']} {thousands(float(row['amount']), 0)}",
                "line": row["line"], "plan": Item(row["plan"], label=row["planLabel"]),
            }
            for row in own or self._found["paid"]
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (row["plan"].iri, natural(row["line"])))

    def _succession(self, label: str) -> list[dict[str, Any]]:
        """Return the steps to older things and to newer ones, in the order of time, with what changed in words."""
        own = self._words(label, self._one(_SKOS + "definition"))
        steps = []
        for row in self._found["succession"]:
            is_older, other = "older" in row, self._words(row["label"], row.get("definition", ""))
            runs = word_diff(*((other, own) if is_older else (own, other)))
            kept = sum(len(run.text) for run in runs if run.op == "equal")
            item = _item(row, "older" if is_older else "newer")
            steps.append(
                {
                    "is_older": is_older, "newer": row.get("newer", self._iri), "older": row.get("older", self._iri), "item": item, "words": other,
                    "plan": Item(row["plan"], label=row["planLabel"]), "rationale": row["rationale"], "same": own == other,
                    "relation": self._overview.reader(row["property"], inverse=is_older),
                    "shared": is_older and row["property"] == names.ITU + "splits",
                    "runs": runs if kept >= MIN_LIKENESS * max(len(own), len(other), 1) else None,
                    "order": (not is_older, row.get("year", ""), row["plan"], _place(item)),
                }
            )  # fmt: skip
        return sorted(steps, key=lambda step: step["order"])

    @staticmethod
    def _words(label: str, definition: str) -> str:
        return f"{label}: {definition}" if definition else label

    def _open(self) -> list[dict[str, Any]]:
        gaps: dict[str, dict[str, Any]] = {}
        for row in self._found["open"]:
            of = self._overview.reader(row["class"]) if "class" in row else ""
            gaps.setdefault(
                row["gap"],
                {
                    "iri": row["gap"], "label": row["label"], "kind": GAP_KINDS.get(row["kind"], row["kind"]),
                    "of": of, "quote": row.get("quote", ""), "said": self._said_of(row),
                },
            )  # fmt: skip
        return [*gaps.values()]

    def _particulars(self, grounds: Iterable[tuple[str, list[Ground]]]) -> list[tuple[str, list[Item]]]:
        """Return the properties that no section tells, with their values; then those by which others lead here."""
        told = {*names.SUCCESSION, *self._steps.up, *self._steps.down, *(each for each, _ in grounds)}
        heads = {names.RDF_TYPE, *_TOLD, *(_OF_PLAN if _OF_PLAN[0] in self._own else ())}
        known = {row["value"] for row in self._found["own"]} | {row["gap"] for row in self._found["open"]}
        known |= {row["line"] for row in self._found["paid"]}
        incoming = defaultdict[str, list[dict[str, str]]](list)
        for row in self._found["incoming"]:
            other = row.get("value", "")  # what a section or an inverse tells already is not told again
            if other not in known and not other.startswith(names.THINGS + "lineage/"):
                incoming[row["property"]].append(row)
        groups = []
        for inverse, said in ((False, self._own), (True, incoming)):
            for predicate in sorted(said.keys() - told - (set() if inverse else heads), key=_rank):
                is_end = predicate in _ENDS
                if said[predicate] and (not self._overview.for_machines(predicate) or is_end > inverse):
                    items = [self._listed(predicate, row) for row in said[predicate]]
                    groups.append((self._overview.reader(predicate, inverse=inverse), sorted(items, key=_place)))
        return groups

    def _listed(self, predicate: str, row: Row) -> Item:
        """Return a value in words for people, or in the place of too many things that lead here the list of them."""
        if "value" not in row:
            link = f"{names.BASE}id?to={quote(self._iri, '')}&by={quote(predicate, '')}"
            return Item(link, label=f"List of all {row['number']}")
        item = _value(row)
        if item.iri in self._overview.words:
            return replace(item, notation="", label=self._overview.reader(item.iri))
        return replace(item, label=GAP_KINDS.get(item.label, item.label))

    def _data(self) -> list[tuple[str, list[Item]]]:
        """Return every property with its values, in the words of machines."""
        return [
            (names.shorten(predicate), sorted(map(_value, rows), key=_place))
            for predicate, rows in sorted(self._own.items(), key=lambda each: _rank(each[0]))
            if rows
        ]


def _item(row: Row, name: str) -> Item:
    return Item(row[name], notation=row.get("code", ""), label=row.get("label", "") or names.shorten(row[name]))


def _value(row: Row) -> Item:
    """Return a value of a property: with an IRI where it is a thing."""
    value = row["value"]
    is_thing = value.startswith(("http://", "https://", "urn:")) and " " not in value
    return Item(
        value if is_thing else "", notation=row.get("code", ""), label=row.get("label", "") or names.shorten(value)
    )


def _place(item: Item) -> tuple[Any, ...]:
    return natural(f"{item.notation} {item.label}".strip()), item.iri


def _rank(predicate: str) -> tuple[int, str]:
    """Return a key that puts properties in the order of the context."""
    known = jsonld.vocabulary()
    name = known.terms[predicate].name if predicate in known.terms else ""
    return known.rank.get(name, len(known.rank)), predicate


def _order(ground: Ground) -> tuple[Any, ...]:
    """Return a key that puts what links rest on in the order of bases, and within one in that of the document."""
    return _state(ground.state), ground.said.document, int(ground.said.line or 0), ground.words


def _state(state: str) -> int:
    return STATES.index(state) if state in STATES else len(STATES)
