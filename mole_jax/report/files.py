"""A page and its figures on disk, over older ones of ours and over nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mole_jax.errors import UserError
from mole_jax.files.sums import claim, seal
from mole_jax.files.writing import open_binary_whole, write_text
from mole_jax.report.parts import EXTENSIONS, Part

FIGURES: Final = "figures"
_GENERATOR: Final = '<meta name="generator" content="mole_jax">'  # in the head of every page
_OTHERWISE: Final = "give another --out"


def refuse_foreign_page(out: Path) -> None:
    """Raises UserError where `out` is no .html, or a file that is not a page of ours; changes nothing."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out={out} is no name of a page; give one that ends in .html")
    if out.is_dir():
        raise UserError(f"--out={out} is a folder; give a file, such as {out / 'report.html'}")
    if not out.exists():
        return
    with out.open(encoding="utf-8", errors="replace") as file:
        if _GENERATOR not in file.read(1000):
            raise UserError(f"{out} is there and is no page of mole_jax: it is not replaced; {_OTHERWISE}")


def write_page(html: str, parts: Sequence[Part], out: Path) -> None:
    """Writes a page, and each panel and each part's numbers as files of their own into `figures/` beside it.

    Raises:
        UserError: as `refuse_foreign_page`, or a file in `figures/` is not ours.
    """
    refuse_foreign_page(out)
    contents: dict[str, bytes] = {}
    for part in parts:
        if part.numbers:
            contents[f"{part.name}.csv"] = part.csv.encode()
        contents |= {f"{p.name}.{EXTENSIONS[p.kind]}": p.content for p in part.panels if p.content}
    folder = out.parent / FIGURES
    if contents:
        claim(folder, FIGURES, contents, otherwise=_OTHERWISE)
        for name, content in contents.items():
            with open_binary_whole(folder / name) as file:
                file.write(content)
        seal(folder, FIGURES)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, html)
