"""What all commands share: a user's mistake is one sentence and exit status 2."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lerning_rate=3"], "error: unknown flag --lerning_rate, did you mean --learning_rate?; --help lists them"),
        (["--model=vgg"], "error: flag --model=vgg: value should be one of <logistic|mlp|cnn|cnn_released"),
        (["--epochs=many"], "error: flag --epochs=many: invalid literal for int()"),
        (["--epochs=0"], "error: epochs=0 is too small; the smallest is 1"),
        (["cnn"], "error: unexpected argument 'cnn': flags are written --name=value; --help lists them"),
        (["--data_dir=nowhere"], "error: no dataset 'synthetic' in 'nowhere'"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(arguments, message):
    result = run("experiments.run", *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(message), result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not result.stdout


def test_help_lists_every_config_field_once():
    import dataclasses

    from mole_jax.config import RunConfig

    text = run("experiments.run", "--help").stdout
    for field in dataclasses.fields(RunConfig):
        assert text.count(f"  --{field.name}=") == 1
    assert "--model=logistic|mlp|cnn" in text
