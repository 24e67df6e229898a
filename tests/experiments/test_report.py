import subprocess
import sys


def report(*arguments):
    return subprocess.run([sys.executable, "-m", "experiments.report", *arguments], capture_output=True, text=True)


def test_directory_that_is_no_run_is_one_sentence(tmp_path):
    ran = report(f"--runs={tmp_path}", f"--out={tmp_path / 'report.html'}")
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"error: {tmp_path} is not the directory of a finished run: it has no config.json")
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_runs_are_required():
    ran = report()
    assert ran.returncode == 2
    assert "runs" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_help_names_the_flags():
    ran = report("--help")
    for flag in ("--runs", "--out", "--data_dir"):
        assert flag in ran.stdout
