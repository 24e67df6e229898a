"""The documents' links lead somewhere, and the list of contents of RESULTS.md names its chapters."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "RESULTS.md", "WORKSPACE.md", "CHANGELOG.md", "SECURITY.md")


def anchors(text):
    """As GitHub makes them of headings: lower case, words joined by hyphens, other signs left out."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def links(text):
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in links(text):
        file, _, anchor = target.partition("#")
        assert (ROOT / file).exists(), target
        if anchor:
            assert anchor in anchors((ROOT / (file or name)).read_text(encoding="utf-8")), target


def test_the_contents_of_the_results_are_its_chapters():
    text = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    chapters = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    named = re.findall(r"^\d+\. \[(.+)\]\(#", text, flags=re.MULTILINE)
    assert ["Contents", *named] == chapters
