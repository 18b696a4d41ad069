"""README's figures are those of the files that it names."""

from __future__ import annotations

import json
from pathlib import Path

from tools import readme_figures

RESULTS = {
    name: {
        "composites": {"mad": 5.26, "mad_median": 4.04, "grad": 1.026, "dtssd": 2.544},
        "clips": {"mad": 5.05},
    }
    for _, name, _ in readme_figures.MATTES
}
LATENCY = {"reference": 100.0} | {
    f"{size}: frame to alpha": 8.0 for _, _, sizes in readme_figures.MATTES for size in sizes
}


def test_the_readme_has_the_figures_of_its_files() -> None:
    text = (readme_figures.ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("<!-- figures: ") == 2
    assert readme_figures.rewritten(text) == text


def test_a_table_is_made_of_its_files_and_the_rest_stays(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(RESULTS), encoding="utf-8")
    (tmp_path / "l.json").write_text(json.dumps(LATENCY), encoding="utf-8")
    head, foot = "<!-- figures: mattes r.json l.json -->\n", "<!-- end of figures -->"
    text = readme_figures.rewritten(f"before\n{head}old\n{foot}\nafter\n", tmp_path)
    assert text.startswith(f"before\n{head}\n| | MAD |")
    assert text.endswith(f"|\n\n{foot}\nafter\n")
    assert "old" not in text
    assert "| MediaPipe Meet | 5.3 | 4.0 | 1.03 | 2.54 | 5.0 |  |" in text
    assert "in 8 bits | 5.3 | 4.0 | 1.03 | 2.54 | 5.0 | 1/12 to 1/12 |" in text
    assert "MobileNetV3 | 5.3 | 4.0 | 1.03 | 2.54 | 5.0 | 1 |" in text
