"""A report as PDF: words of any script, with fonts of our own, and what no font has is replaced and named."""

import json
import re
import zlib
from contextlib import suppress
from importlib import resources

import pytest
from fastapi.testclient import TestClient
from test_auditing import SHAPES, checked
from test_validate import TURTLE

from itukg import names
from itukg.conformance import pdf, write
from itukg.errors import ItukgError
from itukg.formats import PDF

SCRIPTS = {
    "Arabic": ("العربية", "NotoSansArabic"),
    "Bengali": ("বাংলা", "NotoSansBengali"),
    "Chinese": ("简体繁體", "NotoSansCJKsc"),
    "Cyrillic": ("Русский", "LibertinusSerif"),
    "Devanagari": ("हिन्दी", "NewCM"),
    "Georgian": ("ქართული", "DejaVuSansMono"),
    "Greek": ("Ελληνικά", "LibertinusSerif"),
    "Hebrew": ("עברית", "LibertinusSerif"),
    "Japanese": ("日本語とカナ", "NotoSansCJKsc"),
    "Khmer": ("ខ្មែរ", "NotoSansKhmer"),
    "Latin": ("Tiếng Việt", "LibertinusSerif"),
    "Tamil": ("தமிழ்", "NotoSansTamil"),
    "Thai": ("ไทย", "NotoSansThai"),
}
"""Of each script some words, and how the name begins of a font that shows them."""


def uncompressed(content: bytes) -> str:
    """Return the parts of a PDF as they are before compression: fonts by name, characters by their numbers."""
    assert content.startswith(b"%PDF-")
    parts = [content]
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL):
        with suppress(zlib.error):
            parts.append(zlib.decompress(stream))
    return b"\n".join(parts).decode("latin-1")


def characters(content: bytes) -> set[str]:
    """Return the characters that the text of a PDF has, for those who copy it or listen to it."""
    codes = re.findall(r"^<[0-9A-F]{4}> <([0-9A-F]+)>$", uncompressed(content), re.MULTILINE)
    return set("".join(bytes.fromhex(code).decode("utf-16-be", "replace") for code in codes))


def upload(label: str) -> str:
    return f"@prefix rdfs: <{names.PREFIXES['rdfs']}> . <urn:a> a <{names.ITU}ActionLine> ; rdfs:label {json.dumps(label, ensure_ascii=False)} ."


def test_an_upload_in_every_script_has_a_pdf_that_shows_it(client: TestClient) -> None:
    assert len(SCRIPTS) == 13
    label = " ".join(words for words, _ in SCRIPTS.values())
    reply = client.post("/validate?format=pdf", content=upload(label), headers=TURTLE)
    assert reply.status_code == 200, reply.text
    assert set(label) - characters(reply.content) - {" "} == set()
    fonts = re.findall(r"/FontName ?/\w+\+(\w+)", uncompressed(reply.content))
    assert [font for _, font in SCRIPTS.values() if not any(each.startswith(font) for each in fonts)] == []
    assert pdf.REPLACEMENT not in characters(reply.content)


def test_what_no_font_has_is_replaced_and_named(client: TestClient) -> None:
    reply = client.post("/validate?format=pdf", content=upload("ab 한국 \U0001f600 \x07 c"), headers=TURTLE)
    assert reply.status_code == 200, reply.text
    shown = characters(reply.content)
    assert pdf.REPLACEMENT in shown
    assert not shown & {*"한국\U0001f600\x07"}
    for code in ("U+D55C", "U+AD6D", "U+1F600", "U+0007"):
        assert code.encode() in reply.content
    assert b"U+0020" not in reply.content


def test_ten_thousand_characters_without_a_font_are_one_note() -> None:
    every = "".join(map(chr, range(0xAC00, 0xAC00 + 10_000)))
    content = write(checked(shapes=SHAPES.replace("Has no name: give it one.", every)), PDF)
    assert not characters(content) & set(every)
    assert len(set(re.findall(rb"U\+A[0-9A-F]{3}", content))) == 20


def test_each_of_our_fonts_is_read_before_a_worker_may_open_no_file() -> None:
    folder = resources.files("itukg.pages") / "fonts"
    fonts = [file.name for file in folder.iterdir() if file.name.endswith(("ttf", "otf"))]
    assert len(fonts) == len(pdf.SAMPLES) == 6
    template = (resources.files("itukg.pages") / "templates" / "conformance.typ").read_text()
    assert [name for name in fonts if spelled(name) not in template] == []


def spelled(file: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", file.partition(".")[0]).replace("CJKsc", "CJK SC")


def test_what_typst_cannot_lay_out_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_template", lambda: b"#panic()")
    with pytest.raises(ItukgError, match=r"cannot be laid out as PDF.*Request another syntax"):
        write(checked(), PDF)
