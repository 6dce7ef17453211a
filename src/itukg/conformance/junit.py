"""A report in the XML of JUnit, which continuous integration shows as tests that pass and fail."""

import re
from xml.etree import ElementTree as ET

from itukg import names
from itukg.conformance.findings import Finding
from itukg.conformance.model import Report, Rule

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, section 2.2."""


def write_junit(report: Report) -> bytes:
    """Write JUnit XML: a profile is a suite, a rule a test. The tests fail if and only if the report does not conform.

    A rule fails with the findings that decide the verdict, is skipped where it looked at nothing, and passes otherwise;
    its other findings are its output. Where nothing was checked, one more test says so, as an error.
    """
    found: dict[str, list[Finding]] = {}
    for finding in report.listed:
        found.setdefault(finding.shape, []).append(finding)
    rules = {rule.shape: rule for rule in report.rules}
    for shape, (first, *_) in found.items():  # a shape without a message is no rule, and may find something
        rules.setdefault(
            shape, Rule(shape, first.shapeLabel or names.shorten(shape), "", first.profile, first.severity, first.actor)
        )
    suites: dict[str, ET.Element] = {}
    root = ET.Element("testsuites", name=_text(f"{report.verdict}: {report.header.subject}"))
    for rule in rules.values():
        name = rule.profile or "other"
        if name not in suites:
            suites[name] = ET.SubElement(root, "testsuite", name=_text(name))
        _add_test(suites[name], rule, found.get(rule.shape, []), report.header.disallows)
    if report.checked_nothing:
        suite = ET.SubElement(root, "testsuite", name="verdict")
        test = ET.SubElement(suite, "testcase", classname="verdict", name=report.verdict)
        ET.SubElement(test, "error", message="No shape looked at anything in the data.")
    for suite in root:
        for name, kind in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(name, str(len(list(suite.iter(kind)))))
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, 0)) for suite in root)))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add_test(suite: ET.Element, rule: Rule, findings: list[Finding], disallows: tuple[str, ...]) -> None:
    name = f"{rule.label} ({names.shorten(rule.shape)})"
    test = ET.SubElement(suite, "testcase", classname=_text(rule.profile or "other"), name=_text(name))
    deciding = [finding for finding in findings if finding.stands and finding.severity in disallows]
    if deciding:
        failure = ET.SubElement(test, "failure", type=deciding[0].severity, message=_text(deciding[0].message))
        failure.text = _lines(deciding)
    elif rule.nodes == 0 and not findings:
        ET.SubElement(test, "skipped", message="Looked at nothing in the data.")
    if others := [finding for finding in findings if finding not in deciding]:
        ET.SubElement(test, "system-out").text = _lines(others)


def _lines(findings: list[Finding]) -> str:
    return _text(
        "\n".join(
            f"{f.severity}{f' ({f.status})' if f.status else ''}  {f.file or ''}  {names.shorten(f.focus)}  {f.message} [{f.id}]"
            for f in findings
        )
    )


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
