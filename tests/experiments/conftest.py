"""Commands called as functions: a process of its own takes four seconds for each."""

import functools
import importlib

import pytest
from absl import flags


@pytest.fixture
def call(monkeypatch, capsys):
    """call(NAME, *flags): what experiments.NAME prints; a user's mistake is raised."""

    def call(name, *given):
        values = flags.FlagValues()
        for kind in ("string", "float", "list", "enum", "bool", "integer"):
            define = functools.partial(getattr(flags, f"DEFINE_{kind}"), flag_values=values)
            monkeypatch.setattr(flags, f"DEFINE_{kind}", define)
        module = importlib.import_module(f"experiments.{name}")
        module.define_flags()
        values(["command", *map(str, given)])
        for user in (module, importlib.import_module("experiments.prediction_files")):
            monkeypatch.setattr(user, "FLAGS", values)
        assert not module.command()
        return capsys.readouterr().out

    return call
