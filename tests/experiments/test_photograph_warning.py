"""A page with photographs in a git work tree is spoken of, unless git ignores it."""

import subprocess

from experiments.photographs import warn_of_photographs, would_be_committed


def test_only_what_git_would_take_is_spoken_of(tmp_path, capsys):
    page = tmp_path / "tree" / "out" / "report.html"
    page.parent.mkdir(parents=True)
    assert not would_be_committed(page), "no work tree"
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "tree")], check=True)
    warn_of_photographs(page)
    assert (
        "may hold photographs of patients and lies in a git work tree that does not ignore it"
        in capsys.readouterr().err
    )
    (tmp_path / "tree" / ".gitignore").write_text("out/\n")
    warn_of_photographs(page)
    assert capsys.readouterr().err == ""


def test_a_machine_without_git_is_not_warned(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not would_be_committed(tmp_path / "report.html")
