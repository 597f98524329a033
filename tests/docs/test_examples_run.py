"""What the documentation shows runs as it stands there, and prints what it says it prints."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from rolloutwatch_correction import CorrectionConfig

ROOT = Path(__file__).parents[2]
PAGES = ("docs/choosing-a-correction.md", "correction/README.md", "README.md")

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
_PROMISE = re.compile(r"^ *print\(.*\)  # (.+)$", re.MULTILINE)


def blocks(page: str, language: str) -> list[tuple[int, str]]:
    """Return the blocks of a language, and at which line of the page each begins."""
    text = (ROOT / page).read_text()
    return [
        (text.count("\n", 0, found.start("text")), textwrap.dedent(found["text"]))
        for found in _BLOCK.finditer(text)
        if found["language"] == language
    ]


def examples(page: str) -> list[tuple[int, str]]:
    """Return blocks of Python; of the README those that need nothing but the correction, not a trainer and its tensors."""
    found = blocks(page, "python")
    return [(line, text) for line, text in found if "monitor" not in text or page != "README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_every_example_runs_after_those_before_it(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Compiling is left out, which takes longer than everything else, and has tests of its own."""
    namespace: dict[str, Any] = {"__name__": page}
    found = examples(page)
    assert found
    with torch.compiler.set_stance("force_eager"):
        for line, text in found:
            exec(compile("\n" * line + text, str(ROOT / page), "exec"), namespace)
            printed, promised = capsys.readouterr().out.splitlines(), _PROMISE.findall(text)
            if promised:
                assert promised == printed


YAML = [(f"{page}:{line}", text) for page in PAGES for line, text in blocks(page, "yaml")]


@pytest.mark.parametrize("text", [text for _, text in YAML], ids=[place for place, _ in YAML])
def test_every_configuration_is_read(text: str) -> None:
    """And one that bears a preset's name is that preset."""
    config = CorrectionConfig.from_mapping(yaml.safe_load(text))
    if named := re.match(r"# (\w+)$", text, re.MULTILINE):
        assert config == CorrectionConfig.preset(named[1])
