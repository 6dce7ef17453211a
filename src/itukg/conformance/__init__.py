"""SHACL validation: a `Report` of findings with a verdict, compared with a baseline, with waivers, and written in every syntax."""

from itukg.conformance.findings import SEVERITIES, Finding, Selection
from itukg.conformance.model import Header, HistoryRow, Report, moment, now, read_baseline
from itukg.conformance.pages import Site, write_answer, write_finding, write_history_page, write_part
from itukg.conformance.pdf import load_fonts, open_fonts, pdf_of
from itukg.conformance.shacl import results_of, to_rdflib
from itukg.conformance.validation import Own, everything, for_derived, for_report, header_of, report_of, validate
from itukg.conformance.waivers import Waiver, read_waivers, waived
from itukg.conformance.writers import (
    HISTORY_FORMATS,
    REPORT_FORMATS,
    write,
    write_history,
    write_text,
    write_violations,
)

__all__ = [
    "HISTORY_FORMATS",
    "REPORT_FORMATS",
    "SEVERITIES",
    "Finding",
    "Header",
    "HistoryRow",
    "Own",
    "Report",
    "Selection",
    "Site",
    "Waiver",
    "everything",
    "for_derived",
    "for_report",
    "header_of",
    "load_fonts",
    "moment",
    "now",
    "open_fonts",
    "pdf_of",
    "read_baseline",
    "read_waivers",
    "report_of",
    "results_of",
    "to_rdflib",
    "validate",
    "waived",
    "write",
    "write_answer",
    "write_finding",
    "write_history",
    "write_history_page",
    "write_part",
    "write_text",
    "write_violations",
]
