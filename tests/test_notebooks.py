"""The notebooks of docs/notebooks run, and give the outputs that they are kept with."""

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MAX_BYTES = 30_000


def outputs_of(notebook: Any) -> list[tuple[str, list[Any]]]:
    """Return the code of each cell with its outputs: what it prints, which may come in pieces, and what it shows."""
    found = []
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        outputs: list[Any] = []
        for each in cell.outputs:
            if each.output_type == "stream" and outputs and outputs[-1][0] == each.name:
                outputs[-1] = each.name, outputs[-1][1] + each.text
            else:
                outputs.append((each.name, each.text) if each.output_type == "stream" else ("shown", each.data))
        found.append((cell.source, outputs))
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")  # those of Jupyter are not ours
def test_a_notebook_gives_the_outputs_that_it_is_kept_with(
    path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    assert len(NOTEBOOKS) == 3
    kept = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(kept)
    expected = outputs_of(kept)
    assert {"shown", "stdout"} == {kind for _, outputs in expected for kind, _ in outputs}
    monkeypatch.setenv("ITUKG_HOME", str(home))
    NotebookClient(kept, kernel_name="python3", timeout=120).execute()
    assert outputs_of(kept) == expected


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_names_no_place_of_a_machine(path: Path) -> None:
    text = path.read_text()
    assert len(text) < MAX_BYTES
    assert not re.search(r"/(?:home|root|tmp|work|Users)/|https?://(?:localhost|127)", text)
    assert f"notebooks/{path.name}" in (ROOT / "docs" / "python.md").read_text()
