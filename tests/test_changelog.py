"""Changelog, package and citation tell of the same version, and the changelog of settings that there are."""

import re
import tomllib
from datetime import date

from imports import ROOT

from itukg.settings import Settings

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
VERSIONS = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.MULTILINE)


def test_versions_stand_newest_first_under_what_is_not_released_yet() -> None:
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert headings == ["[Unreleased]", *(f"[{version}] - {day}" for version, day in VERSIONS)]
    ordered = [(tuple(map(int, version.split("."))), date.fromisoformat(day)) for version, day in VERSIONS]
    assert ordered == sorted(ordered, reverse=True) and len({version for version, _ in VERSIONS}) == len(VERSIONS)


def test_package_and_citation_name_the_newest_version_of_the_changelog() -> None:
    newest, day = VERSIONS[0]
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == newest
    citation = dict(re.findall(r"^([\w-]+): (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE))
    assert (citation["version"], citation["date-released"]) == (newest, day)


def test_each_setting_that_the_changelog_renames_has_its_new_name_and_not_its_old_one() -> None:
    known = {f"ITUKG_{name.upper()}" for name in Settings.model_fields}
    renamed = re.findall(r"^ *\| `(ITUKG_\w+)` \| `(ITUKG_\w+)`", CHANGELOG, re.MULTILINE)
    assert len(renamed) >= 7
    assert not {before for before, _ in renamed} & known
    assert {now for _, now in renamed} <= known
