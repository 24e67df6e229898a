"""A page with photographs must not be published by accident."""

import subprocess
import sys
from pathlib import Path


def warn_of_photographs(page: Path) -> None:
    """Warns on stderr if a file that may show patients lies in a git work tree that does not ignore it."""
    if would_be_committed(page):
        print(
            f"note: {page} may hold photographs of patients and lies in a git work tree that does not ignore it; "
            "write it elsewhere or add it to .gitignore before you commit",
            file=sys.stderr,
        )


def would_be_committed(path: Path) -> bool:
    """Whether `git add --all` would take the file; False where there is no git or no work tree."""
    try:
        inside = _git(path.parent, "rev-parse", "--is-inside-work-tree").stdout.strip() == "true"
        return inside and _git(path.parent, "check-ignore", "--quiet", str(path.absolute())).returncode == 1
    except OSError:
        return False


def _git(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
