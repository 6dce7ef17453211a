"""The fonts of PDF reports, cut out of Noto: `python tests/fonts.py` writes src/itukg/pages/fonts.

It needs Debian's packages fonts-noto-core and fonts-noto-cjk, `uconv` of icu-devtools, and `pip install fonttools`.
"""

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

FONTS = Path(__file__).parents[1] / "src" / "itukg" / "pages" / "fonts"
NOTO = Path("/usr/share/fonts")
SCRIPTS = ("Arabic", "Bengali", "Khmer", "Tamil", "Thai")
"""Scripts of living languages that the fonts in typst do not have, or not in running text; more would make the wheel too large."""
SIGNS, CHINESE, JAPANESE = range(0xA1, 0xAA), range(0xB0, 0xD8), range(0xB0, 0xD0)
"""First bytes in GB 2312 of punctuation and kana and of the 3755 characters in common use, and in JIS X 0208 of the 2965."""


def characters(encoding: str, first: Iterable[int]) -> Iterator[str]:
    """Yield what two bytes of a national standard stand for."""
    for pair in (bytes((a, b)) for a in first for b in range(0xA1, 0xFF)):
        yield pair.decode(encoding, errors="ignore")


def cut(source: Path, target: Path, *options: str) -> None:
    """Write a part of a font."""
    names = "--name-IDs=0,1,2,4,6,13,14"
    command = ("pyftsubset", str(source), f"--output-file={target}", "--no-hinting", names, *options)
    subprocess.run(command, check=True)


def main() -> None:
    simplified = "".join(characters("gb2312", CHINESE))
    command = ("uconv", "-x", "Simplified-Traditional")
    traditional = subprocess.run(command, input=simplified, text=True, capture_output=True, check=True).stdout
    han = {*simplified, *traditional, *characters("gb2312", SIGNS), *characters("euc_jp", JAPANESE)} - {""}
    unicodes = ",".join(f"{ord(each):X}" for each in sorted(han))
    unneeded = "--drop-tables+=BASE,GDEF,GPOS,GSUB,VORG,vhea,vmtx"
    chinese = NOTO / "opentype" / "noto" / "NotoSansCJK-Regular.ttc"
    cut(chinese, FONTS / "NotoSansCJKsc.otf", "--font-number=2", f"--unicodes={unicodes}", unneeded)
    for script in SCRIPTS:
        name = f"NotoSans{script}"
        cut(NOTO / "truetype" / "noto" / f"{name}-Regular.ttf", FONTS / f"{name}.ttf", "--unicodes=*")


if __name__ == "__main__":
    main()
