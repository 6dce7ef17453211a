"""What the front page shows: the plans on a timeline, with what takes up what, and how many plans name each Goal."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from itukg import names
from itukg.engine.store import Store, texts

YEAR_WIDTH, LANE_WIDTH, BAR_HEIGHT, ROW_HEIGHT, TOP, EDGE = 66, 104, 34, 56, 30, 20
"""Pixels of a year, of the names of the lanes, of a plan, of its row, and of the years above."""
CHARACTER_WIDTH = 6.8
"""Pixels of a character of a label, at most on average."""

_PLANS = f"""{names.PROLOGUE}
SELECT ?iri ?label ?status ?first ?last ?class WHERE {{
  ?class rdfs:subClassOf itu:Plan . ?iri a ?class ; rdfs:label ?label ; itu:status ?status ; itu:startYear ?first ; itu:endYear ?last
  FILTER(?class != itu:Plan) }} ORDER BY ?first DESC(?last) ?status"""
_STEPS = f"""{names.PROLOGUE}
SELECT ?newer ?older (COUNT(DISTINCT ?thing) AS ?things) WHERE {{
  VALUES ?by {{ {" ".join(f"<{each}>" for each in names.SUCCESSION)} }}
  ?thing ?by ?former . ?thing itu:plan ?newer . ?former itu:plan ?older FILTER(?newer != ?older) }} GROUP BY ?newer ?older ORDER BY ?newer ?older"""
_GOALS = f"""{names.PROLOGUE}
SELECT ?iri ?code ?label (COUNT(DISTINCT ?plan) AS ?plans) WHERE {{
  ?iri a sdgo:Goal ; skos:notation ?code ; rdfs:label ?label
  OPTIONAL {{ SELECT DISTINCT ?iri ?plan WHERE {{
    {{ ?thing itu:contributesToSDG ?iri ; itu:plan ?plan }}
    UNION {{ ?thing itu:contributesToSDGTarget ?target . ?target sdgo:isTargetOf ?iri . ?thing itu:plan ?plan }} }} }}
}} GROUP BY ?iri ?code ?label"""


@dataclass(frozen=True)
class Bar:
    """A plan as the timeline has it: its years, and where it is drawn, in pixels."""

    iri: str
    label: str
    status: str
    first: int
    last: int
    x: float
    y: float
    width: float

    @property
    def fits(self) -> bool:
        """Whether the label fits into the bar."""
        return len(self.label) * CHARACTER_WIDTH < self.width - 16


@dataclass(frozen=True)
class Step:
    """How many things of a plan take up things of an older one, and the line from one to the other."""

    newer: Bar
    older: Bar
    things: int
    path: str


@dataclass(frozen=True)
class Timeline:
    """The plans by lane, which is their class, from the first year to the last."""

    bars: list[Bar]
    steps: list[Step]
    lanes: dict[str, float]
    """Class → where its name is drawn."""
    years: dict[int, float]
    """Year → where it begins."""
    width: float
    height: float


@dataclass(frozen=True)
class Goal:
    """A Goal, and how many plans name it or one of its targets."""

    iri: str
    code: str
    label: str
    plans: int


async def front_page(store: Store) -> tuple[Timeline, list[Goal]]:
    """Return the timeline of the plans, and the Goals in their order."""
    plans, steps, goals = await asyncio.gather(*(texts(store, query) for query in (_PLANS, _STEPS, _GOALS)))
    found = [Goal(row["iri"], row["code"], row["label"], int(row["plans"])) for row in goals]
    return _timeline(plans, steps), sorted(found, key=lambda goal: int(goal.code))


async def timeline_of(store: Store, steps: Mapping[tuple[str, str], int]) -> Timeline:
    """Return the timeline of the plans with these steps: newer and older plan → how many things take up something."""
    drawn = [{"newer": newer, "older": older, "things": str(things)} for (newer, older), things in steps.items()]
    return _timeline(await texts(store, _PLANS), drawn)


def _timeline(plans: list[dict[str, str]], steps: list[dict[str, str]]) -> Timeline:
    begin = min((int(row["first"]) for row in plans), default=0)
    end = max((int(row["last"]) for row in plans), default=0) + 1
    years = {year: float(LANE_WIDTH + YEAR_WIDTH * (year - begin)) for year in range(begin, end)}
    lanes: dict[str, float] = {}
    bars: dict[str, Bar] = {}
    taken: list[int] = []  # the year until which each row is full, with what its label needs
    longest = {row["class"]: int(row["last"]) - int(row["first"]) for row in plans}
    for kind in sorted(sorted(longest, reverse=True), key=lambda each: -longest[each]):  # the yearly ones come last
        lanes[kind] = float(TOP + ROW_HEIGHT * len(taken) + BAR_HEIGHT / 2)
        above = len(taken)
        for row in (each for each in plans if each["class"] == kind):
            first, last = int(row["first"]), int(row["last"])
            rows = [number for number in range(above, len(taken)) if taken[number] < first]
            number = rows[0] if rows else len(taken)
            taken[number : number + 1] = [last]
            y = float(TOP + ROW_HEIGHT * number)
            width = float(YEAR_WIDTH * (last - first + 1) - 4)
            bars[row["iri"]] = Bar(row["iri"], row["label"], row["status"], first, last, years[first], y, width)
    drawn = [
        Step(bars[row["newer"]], bars[row["older"]], int(row["things"]), _path(bars[row["newer"]], bars[row["older"]]))
        for row in steps
    ]
    width, height = LANE_WIDTH + YEAR_WIDTH * (end - begin), TOP + ROW_HEIGHT * len(taken)
    return Timeline([*bars.values()], drawn, lanes, years, width, height)


def _path(newer: Bar, older: Bar) -> str:
    """Return the line from an older plan to a newer one: straight where they share years, else along the time."""
    begin, end = max(newer.x, older.x), min(newer.x + newer.width, older.x + older.width)
    if begin < end:
        down = newer.y > older.y
        x = (begin + end) / 2 + 16 * (abs(newer.y - older.y) / ROW_HEIGHT - 1)  # beside the lines to plans between them
        return f"M{x:g} {older.y + BAR_HEIGHT * down:g}V{newer.y + BAR_HEIGHT * (not down):g}"
    x, y = older.x + older.width, older.y + BAR_HEIGHT / 2
    to_x, to_y = newer.x, newer.y + BAR_HEIGHT / 2
    bend = (to_x - x) / 2
    if newer.y > older.y:  # from below the older one, so that the line passes behind no plan beside it
        x, y = x - EDGE, older.y + BAR_HEIGHT
        return f"M{x:g} {y:g}C{x:g} {to_y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}"
    if newer.y < older.y:
        to_x, to_y = to_x + EDGE, newer.y + BAR_HEIGHT
        return f"M{x:g} {y:g}C{x + bend:g} {y:g} {to_x:g} {y:g} {to_x:g} {to_y:g}"
    return f"M{x:g} {y:g}H{to_x:g}"
