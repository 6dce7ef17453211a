"""`itukg triage`: a curator decides proposals on a page that only this machine is served, and no change by others is lost."""

import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from html import unescape
from pathlib import Path
from typing import Self

import httpx2
import pytest
from conftest import environment_for

from itukg.corpus import Corpus
from itukg.proposals.background import Facts
from itukg.proposals.decide import Decisions, name_of, one_line
from itukg.release.proposals import read_proposals
from itukg.sssom import read_tsv

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "data" / "proposals" / "bap-2026-2029.sssom.tsv"
ROLE = "curator of the plan"


class Page:
    """What a curator sees: a candidate, with the form by which it is decided."""

    def __init__(self, reply: httpx2.Response) -> None:
        assert reply.status_code == 200, reply.text
        self.text = unescape(reply.text)
        self.form = dict(re.findall(r'name="(token|version|at|shown|order)" value="([^"]*)"', self.text))

    @property
    def name(self) -> str:
        """The candidate."""
        return str(self.form["at"])

    @property
    def progress(self) -> str:
        """How many are decided."""
        found = re.search(r"<strong>(\d+ of \d+ decided)", self.text)
        assert found
        return found[1]


class Curator:
    """Somebody who reads and decides at an address."""

    def __init__(self, address: str) -> None:
        self.client = httpx2.Client(base_url=address, follow_redirects=True)
        self.page = Page(self.client.get("/"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def decide(self, decision: str, **other: str) -> Page:
        """Press a button of the page."""
        self.page = Page(self.send(decision, **other))
        return self.page

    def send(self, decision: str, **other: str) -> httpx2.Response:
        return self.client.post("/decide", data={**self.page.form, "decision": decision, **other})

    def undo(self) -> Page:
        self.page = Page(self.client.post("/undo", data=self.page.form))
        return self.page


@contextmanager
def triage(file: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the command as a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "itukg", "triage", str(file), *options],
        env=environment_for(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            said = process.stdout.readline()
            assert re.fullmatch(r"Triage: http://127\.0\.0\.1:\d+/\n", said), said
            yield said.removeprefix("Triage: ").strip(), process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """One process for many tests, over a file of its own."""
    file = Path(shutil.copy(SHIPPED, tmp_path_factory.mktemp("triage")))
    with triage(file) as (address, _):
        yield address, file


@pytest.fixture
def file(served: tuple[str, Path]) -> Path:
    """The file that is decided, all open."""
    return Path(shutil.copy(SHIPPED, served[1]))


@pytest.fixture
def curator(served: tuple[str, Path], file: Path) -> Iterator[Curator]:
    assert file == served[1]
    with Curator(served[0]) as curator:
        yield curator


def row_of(file: Path, name: str) -> dict[str, str]:
    return next(row for row in read_proposals(file).rows.values() if name_of(row) == name)


def changed_lines(file: Path) -> list[str]:
    before, after = SHIPPED.read_text().splitlines(), file.read_text().splitlines()
    assert len(before) == len(after)
    return [new for old, new in zip(before, after, strict=True) if old != new]


def test_a_decision_is_saved_at_once_with_role_and_day_and_changes_one_line(curator: Curator, file: Path) -> None:
    first = curator.page.name
    curator.decide("accepted", comment=" Holds:\nboth speak of\tit. ")
    row = row_of(file, first)
    assert (row["state"], row["reviewer_label"], row["review_date"]) == ("accepted", ROLE, f"{date.today()}")  # noqa: DTZ011  (the curator's day)
    assert row["comment"] == "Holds: both speak of it."
    assert len(changed_lines(file)) == 1
    assert curator.page.name != first
    assert curator.page.progress == "1 of 825 decided"
    second = curator.page.name
    curator.decide("rejected", comment="")
    assert row_of(file, second)["state"] == "rejected"
    third = curator.page.name
    assert curator.decide("unsure").progress == "3 of 825 decided"
    assert row_of(file, third)["state"] == "unsure"
    assert len(changed_lines(file)) == 3


def test_undo_takes_the_last_decision_back_and_then_the_one_before(curator: Curator, file: Path) -> None:
    first = curator.page.name
    second = curator.decide("accepted").name
    curator.decide("rejected", comment="Not this one.")
    assert curator.undo().name == second
    assert row_of(file, second)["state"] == "open"
    assert curator.undo().name == first
    assert file.read_bytes() == SHIPPED.read_bytes()
    reply = curator.client.post("/undo", data=curator.page.form)
    assert reply.status_code == 400
    assert "nothing to undo" in reply.text


def test_a_decided_candidate_can_be_opened_again(curator: Curator, file: Path) -> None:
    first = curator.page.name
    curator.decide("accepted")
    curator.page = Page(curator.client.get("/", params={"at": first}))
    assert "Open again" in curator.page.text
    curator.decide("open")
    assert file.read_bytes() == SHIPPED.read_bytes()


def test_the_page_shows_grounds_and_both_sentences_and_the_list_has_all(curator: Curator, file: Path) -> None:
    row = row_of(file, curator.page.name)
    for words in (row["subject_label"], row["object_label"], row["grounds"].partition("; ")[0][1:]):
        assert words in curator.page.text
    assert re.search(r"line \d+ of document/tdag-26-2-add-2", curator.page.text)
    listed = curator.client.get("/list", params={"order": "strength"})
    strengths = [float(text) for text in re.findall(r'<td class="number">([\d.]+)</td>', listed.text)]
    assert len(strengths) == 100
    assert strengths == sorted(strengths, reverse=True)
    assert curator.client.get("/list", params={"page": "9"}).status_code == 200
    assert curator.client.get("/list", params={"page": "10"}).status_code == 404
    assert "Nothing" not in curator.client.get("/", params={"state": "all"}).text
    assert "No candidate is accepted" in curator.client.get("/", params={"state": "accepted"}).text
    assert curator.client.get("/", params={"state": "maybe"}).status_code == 400


@pytest.mark.parametrize("host", ["triage.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.example", ""])
def test_a_request_that_names_another_host_is_refused(curator: Curator, file: Path, host: str) -> None:
    assert curator.client.get("/", headers={"host": host}).status_code == 403
    data = {**curator.page.form, "decision": "accepted"}
    assert curator.client.post("/decide", data=data, headers={"host": host}).status_code == 403
    assert file.read_bytes() == SHIPPED.read_bytes()


@pytest.mark.parametrize("token", ["", "guessed", "é"])
def test_a_form_without_the_token_writes_nothing(curator: Curator, file: Path, token: str) -> None:
    reply = curator.send("accepted", token=token)
    assert reply.status_code == 400
    assert "Nothing was written" in reply.text
    assert file.read_bytes() == SHIPPED.read_bytes()


def test_a_form_of_another_site_writes_nothing(curator: Curator, file: Path) -> None:
    data = {**curator.page.form, "decision": "accepted"}
    for origin in ("http://evil.example", "null", "https://127.0.0.1"):
        assert curator.client.post("/decide", data=data, headers={"origin": origin}).status_code == 403
    assert file.read_bytes() == SHIPPED.read_bytes()
    ours = str(curator.client.base_url).rstrip("/")
    assert curator.client.post("/decide", data=data, headers={"origin": ours}).status_code == 200


def test_a_get_decides_nothing_and_odd_forms_are_refused(curator: Curator, file: Path) -> None:
    assert curator.client.get("/decide", params={**curator.page.form, "decision": "accepted"}).status_code == 405
    assert curator.send("maybe").status_code == 400
    assert curator.send("accepted", at="0" * 16).status_code == 404
    assert curator.send("accepted", comment="x" * 30_000).status_code == 413
    assert file.read_bytes() == SHIPPED.read_bytes()


def test_a_file_that_somebody_else_changed_meanwhile_is_not_overwritten(curator: Curator, file: Path) -> None:
    theirs = SHIPPED.read_text().replace("\topen\t", "\tunsure\t", 1)
    file.write_text(theirs)
    reply = curator.send("accepted", comment="It <holds>")
    assert reply.status_code == 409
    assert "Somebody else has changed bap-2026-2029.sssom.tsv" in reply.text
    assert "<blockquote>It &lt;holds&gt;</blockquote>" in reply.text
    assert file.read_text() == theirs
    stale = curator.page
    curator.page = Page(curator.client.get("/"))
    assert curator.page.progress == "0 of 825 decided"  # the first row is one without a ground
    assert curator.client.post("/decide", data={**stale.form, "decision": "accepted"}).status_code == 409
    assert file.read_text() == theirs
    curator.decide("accepted")
    assert "\tunsure\t" in file.read_text()


def test_a_file_that_somebody_else_spoilt_or_removed_is_told_and_left(curator: Curator, file: Path) -> None:
    file.write_text(SHIPPED.read_text().replace("\topen\t", "\tmaybe\t", 1))
    reply = curator.client.get("/")
    assert reply.status_code == 409
    assert "no state “maybe”" in unescape(reply.text) or 'no state "maybe"' in unescape(reply.text)
    file.unlink()
    assert curator.client.get("/").status_code == 409
    assert curator.send("accepted").status_code == 409
    assert not file.exists()
    shutil.copy(SHIPPED, file)
    assert Page(curator.client.get("/")).progress == "0 of 825 decided"


def test_pages_run_and_load_only_what_stands_here(curator: Curator) -> None:
    reply = curator.client.get("/")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert reply.headers["cache-control"] == "no-store"
    loaded = re.findall(r'(?:src|href)="(/assets/[^"]+)"', reply.text)
    assert {path.rpartition(".")[2] for path in loaded} == {"css", "js", "svg"}
    for path in loaded:
        assert curator.client.get(path).status_code == 200
    assert curator.client.get("/assets/0/style.css").status_code == 404
    assert not re.search(r'<script(?! type="module" src)| style=| on\w+=', reply.text)


def test_ctrl_c_ends_it_with_what_to_do_next(file: Path) -> None:
    with triage(file, "--role", "secretariat", "--port", "0") as (address, process):
        with Curator(address) as curator:
            first = curator.page.name
            curator.decide("accepted")
        assert row_of(file, first)["reviewer_label"] == "secretariat"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"1 of 825 decided, 1 accepted. Next, to write what is accepted into the data: itukg accept {file}" in said
    assert "Traceback" not in said


def test_a_bad_file_and_a_port_in_use_are_refused(file: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "itukg", "triage", *arguments]
        return subprocess.run(command, env=environment_for(), capture_output=True, text=True, timeout=60, check=False)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(str(file), "--port", str(taken.getsockname()[1]))
    assert (done.returncode, "in use" in done.stderr) == (2, True), done.stderr
    file.write_text("subject_id\tpredicate_id\n")
    done = run(str(file))
    assert (done.returncode, "no column object_id" in done.stderr) == (2, True), done.stderr
    done = run(str(file.with_name("none.sssom.tsv")))
    assert (done.returncode, "No such file" in done.stderr) == (2, True), done.stderr


def test_a_file_as_a_spreadsheet_saves_it_keeps_what_it_says(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + SHIPPED.read_bytes().replace(b"\n", b"\r\n"))
    before = read_tsv(file).rows
    decisions = Decisions(file, ROLE)
    row = decisions.candidates()[0]
    decisions.decide(name_of(row), "rejected", "", decisions.version)
    after = read_tsv(file).rows
    assert len([row for row in after if row not in before]) == 1
    assert decisions.counts == {"open": 824, "rejected": 1}


def test_what_nobody_sees_is_left_out_of_a_comment() -> None:
    assert one_line(" a\u200bb \n\x07c\t d ") == "ab c d"


def test_a_thing_that_is_not_in_the_data_has_no_background(corpus: Corpus) -> None:
    found = Facts(corpus).of("urn:nothing")
    assert (found.kind, found.code, found.place, found.around) == ("", "", "", {})
