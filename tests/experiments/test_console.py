"""What is printed reaches people whatever their terminal is."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.console import Steady, visible

ROOT = Path(__file__).parents[2]


def test_a_terminal_is_shown_what_it_would_obey():
    assert visible("a\x1b[31mb\x07\r\u202e\x9bc\n\td") == "a\\x1b[31mb\\x07\\r\\u202e\\x9bc\n\td"
    assert visible("Größe – 95 % ≥ ü") == "Größe – 95 % ≥ ü"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("cp1252", "-- \u2013 >= \xe9 \\u65e5 \\udcff"),
        ("ascii", "-- - >= \\xe9 \\u65e5 \\udcff"),
        ("utf-8", None),
    ],
)
def test_signs_that_an_encoding_lacks_are_shown_in_plain_ones(encoding, shown):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    steady = Steady(stream, guarded=True)
    steady.write("── – ≥ é 日 \udcff")
    steady.flush()
    text = raw.getvalue().decode(encoding)
    assert text == (shown or "── – ≥ é 日 \\udcff")


def test_guarding_is_for_what_people_read_and_not_for_progress_bars():
    raw = io.StringIO()
    Steady(raw, guarded=False).write("\r 50%\x1b[A")
    assert raw.getvalue() == "\r 50%\x1b[A"


def test_a_closed_pipe_ends_the_printing_and_not_the_work(tmp_path):
    code = (
        "from experiments.console import steady_streams\nimport sys, pathlib\nsteady_streams()\n"
        "for _ in range(20000): print('x' * 100)\nsys.stdout.flush()\npathlib.Path(sys.argv[1]).touch()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "done")], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        child.stdout.close()
        errors = child.stderr.read()
    assert (child.returncode, errors) == (0, b"")
    assert (tmp_path / "done").exists()


def command(body, *arguments, **environment):
    code = f"from experiments import cli\nfrom absl import flags\ndef command():\n    {body}\n"
    code += "cli.main(command, description='x')"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "open('/proc/nowhere')",
            "the system refused '/proc/nowhere': No such file or directory; give another",
        ),
        ("open('x' * 300)", "File name too long; give another place or change it (--debug shows where in the code)"),
        ("open(chr(0))", None),
        ("raise MemoryError('x')", "not enough memory (x): give a smaller --batch_size"),
        (
            "raise RuntimeError('RESOURCE_EXHAUSTED: Out of memory')",
            "not enough memory (RESOURCE_EXHAUSTED: Out of",
        ),
        ("raise RuntimeError('Could not determine home directory.')", "a path begins with ~ and this user has no home"),
        ("import jax; jax.devices()", "JAX_PLATFORMS=cuda asks for a device that is not here"),
        ("raise ImportError('no', name='array_record.python')", "the package array_record cannot be imported (no); it"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(body, sentence):
    result = command(body, JAX_PLATFORMS="cuda")
    if sentence is None:  # a fault of ours keeps its traceback
        assert result.returncode == 1
        assert "Traceback" in result.stderr
        return
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_debug_shows_where():
    result = command("open('/proc/nowhere')", "--debug")
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert "error: the system refused '/proc/nowhere'" in result.stderr


def test_a_signal_that_comes_while_python_cleans_up_is_not_lost():
    body = (
        "import gc, os, signal, time; gc.callbacks.append(lambda *_: os.kill(os.getpid(), signal.SIGTERM) or len('x'))"
    )
    result = command(f"{body}; gc.collect(); gc.callbacks.clear(); time.sleep(60)")
    assert (result.returncode, result.stderr) == (143, "stopped by SIGTERM; nothing is half-written\n")


def test_sigterm_is_a_sentence_and_a_status():
    result = command("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    assert (result.returncode, result.stderr) == (143, "stopped by SIGTERM; nothing is half-written\n")


def test_an_interrupted_command_waits_for_no_thread():
    thread = "threading.Thread(target=lambda: time.sleep(5) or print('waited for', flush=True)).start()"
    result = command(f"import os, signal, threading, time; {thread}; os.kill(os.getpid(), signal.SIGTERM)")
    assert (result.returncode, result.stdout) == (143, "")
    assert result.stderr == "stopped by SIGTERM; nothing is half-written\n"
