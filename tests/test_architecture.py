"""docs/architecture.md and its picture are true of the code."""

import re
from itertools import combinations

from imports import MODULES, ROOT, packages
from picture import BOX_HEIGHT, BOX_WIDTH, PICTURE, drawn, reduced
from test_design import PACKAGES

TEXT = (ROOT / "docs" / "architecture.md").read_text()
FILE = re.compile(r"`([\w./<>*-]+\.(?:py|ttl|rq|csv|md|html))`")
SECTIONS = dict(re.findall(r"^## (.+)\n(?s:(.*?))(?=^## |\Z)", TEXT, re.MULTILINE))


def test_the_table_of_packages_is_the_order_in_which_they_import() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", SECTIONS["Packages"], re.MULTILINE)
    assert tuple(name for name, _ in rows) == PACKAGES
    assert len({line for _, line in rows}) == len(PACKAGES)


def test_every_file_that_the_architecture_names_is_there() -> None:
    named = FILE.findall(TEXT)
    assert len(named) > 50
    for name in named:
        pattern = re.sub(r"<\w+>", "*", name)
        at_hand = [
            *ROOT.glob(pattern),
            *ROOT.glob(f"src/itukg/{pattern}"),
            *ROOT.glob(f"shapes/examples/*/*/{pattern}"),
        ]
        assert at_hand, name


def test_every_step_names_its_file() -> None:
    for road, least in (("A query", 10), ("A thing", 6), ("A build", 6)):
        steps = re.findall(r"^(\d+)\. (.+)$", SECTIONS[road], re.MULTILINE)
        assert [int(number) for number, _ in steps] == [*range(1, len(steps) + 1)]
        assert len(steps) >= least
        assert not [step for _, step in steps if not FILE.search(step)]


def test_the_picture_is_what_the_imports_draw() -> None:
    assert PICTURE.read_text() == drawn(packages()), "Draw it again: python tests/picture.py"


def test_the_boxes_of_the_picture_stand_apart() -> None:
    boxes = [(int(x), int(y)) for x, y in re.findall(r'class="box" x="(\d+)" y="(\d+)"', PICTURE.read_text())]
    assert len(boxes) == len(PACKAGES)
    for (x, y), (other_x, other_y) in combinations(boxes, 2):
        assert abs(x - other_x) > BOX_WIDTH or abs(y - other_y) > BOX_HEIGHT


def test_an_arrow_is_left_out_only_where_a_longer_way_tells_it() -> None:
    assert reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}
    arrows = reduced(packages())
    for name, imported in packages().items():
        reached, new = set[str](), {name}
        while new:
            new = set[str]().union(*(arrows[each] for each in new)) - reached
            reached |= new
        assert imported <= reached, name
    assert len(MODULES) > len(PACKAGES)
