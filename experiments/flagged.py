"""Flags made from a config dataclass: one field, one flag, and nothing to keep in step."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from absl import flags

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.studies.recipes import RECIPE_NAMES, RECIPES, recipe_settings, resolve


def define_run_flags() -> None:
    """Defines a flag for each field of RunConfig, --recipe and --config; a field that is not given is None, so that
    these can fill it.
    """
    flags.DEFINE_string(
        "config", None, "a config.json of any run, or a sweep's best.json, in place of a recipe; flags go before it"
    )
    flags.DEFINE_enum(
        "recipe",
        "paper",
        RECIPE_NAMES,
        "what fills the flags that are not given; paper: as the paper has it; tuned: what scored best here",
    )
    hints = get_type_hints(RunConfig)
    for field in dataclasses.fields(RunConfig):
        hint, text = hints[field.name], field.metadata["help"]
        if get_origin(hint) is Literal:
            flags.DEFINE_enum(field.name, None, [str(choice) for choice in get_args(hint)], text)
        else:
            define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}[hint]
            define(field.name, None, text)


def given_flags() -> dict[str, Any]:
    """The fields of RunConfig whose flags were given; `~` in paths is the user's home, as a shell would have it."""
    values = {field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(RunConfig)}
    values |= {name: str(Path(values[name]).expanduser()) for name in ("run_dir", "data_dir", "masks") if values[name]}
    return {name: value for name, value in values.items() if value is not None}


def configured(changes: Mapping[str, Any] | None = None) -> RunConfig:
    """The flags that were given, over --config or the model's recipe, over the defaults.

    Args:
        changes: field -> value, over all of these.

    Raises:
        UserError: a value is not one of its field's, or --config is no config.
    """
    given = {**given_flags(), **(changes or {})}
    if flags.FLAGS["config"].value is None:
        return resolve(given, flags.FLAGS["recipe"].value)
    from mole_jax.files.reading import read_record

    path = Path(flags.FLAGS["config"].value).expanduser()
    stored = read_record(path, dict[str, Any], remedy="give --config=runs/NAME/config.json")
    return RunConfig.from_dict({**stored, "run_dir": "", **given})


def recipe_seeds(model: str) -> int:
    """How many seeds the recipe has that the flags name; 1 with --config."""
    return 1 if flags.FLAGS["config"].value is not None else RECIPES[flags.FLAGS["recipe"].value][model].seeds


def defaults_for(arguments: list[str]) -> dict[str, str]:
    """What each flag of a run will be if it is not given, in words, for the model and recipe among the arguments.

    Args:
        arguments: arguments of the command line, possibly --model=NAME and --recipe=NAME among them.
    """
    asked = dict(a.lstrip("-").split("=", 1) for a in arguments if a.startswith("-") and "=" in a)
    model, recipe = asked.get("model", RunConfig.model), asked.get("recipe", "paper")
    name = next((known for known in RECIPE_NAMES if known == recipe), RECIPE_NAMES[0])
    try:
        settings = recipe_settings(model, name)
    except UserError:
        settings = {}
    words = {}
    for field in dataclasses.fields(RunConfig):
        if field.name == "model":
            words[field.name] = f"default: {model}" if "model" not in asked else f"given: {model}"
        elif field.name in settings:
            words[field.name] = f"{model}, {name} recipe: {settings[field.name]}"
        else:
            words[field.name] = f"default: {field.default}" if field.default != "" else "default: empty"
    return words


def recipe_lines() -> list[str]:
    """The recipes for people: what each is, what came of it and how long it took."""
    lines = [
        "",
        "Recipes (test AUROC on grouped HAM10000, 2 CPU cores); --help --model=NAME shows that model's values:",
    ]
    for recipe in RECIPE_NAMES:
        for model, each in RECIPES[recipe].items():
            measured = "; ".join(text for text in (each.score, each.time) if text) or "not measured as it stands"
            lines += [f"  {each.command(model, recipe, 'NAME')}", f"      {measured}"]
    return lines
