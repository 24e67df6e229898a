from mole_jax.data.prepare.prepare import prepare
from tests.commands import command


def report(*arguments):
    return command("report", *arguments)


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


def test_run_ends_with_its_report(tmp_path):
    prepare("synthetic", examples=50, data_dir=tmp_path / "data", workers=1)
    run_dir = tmp_path / "run"
    places = (f"--data_dir={tmp_path / 'data'}", f"--run_dir={run_dir}")
    ran = command("run", "--model=logistic", "--epochs=1", "--batch_size=10", *places)
    assert ran.returncode == 0, ran.stderr
    assert f"report in {run_dir / 'report.html'}" in ran.stdout.splitlines()
    page = (run_dir / "report.html").read_text()
    assert "Weight picture: run" in page
    assert (run_dir / "figures" / "weights-run-picture.png").is_file()
    ran = report(f"--runs={run_dir}", f"--out={tmp_path / 'again.html'}")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "again.html").read_text() == page
