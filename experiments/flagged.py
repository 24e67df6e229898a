"""Flags made from a config dataclass: one field, one flag, and nothing to keep in step."""

import dataclasses
from typing import Any, Literal, get_args, get_origin, get_type_hints

from absl import flags


def define_flags(config: type[Any]) -> None:
    """Defines a flag for each field; a flag that is not given is None, so that a recipe can fill it."""
    hints = get_type_hints(config)
    for field in dataclasses.fields(config):
        hint = hints[field.name]
        text = f"{field.metadata['help']} (default: {field.default!r})"
        if get_origin(hint) is Literal:
            flags.DEFINE_enum(field.name, None, [str(choice) for choice in get_args(hint)], text)
        else:
            define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}[hint]
            define(field.name, None, text)


def given_flags(config: type[Any]) -> dict[str, Any]:
    """The fields whose flags were given."""
    values = {field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(config)}
    return {name: value for name, value in values.items() if value is not None}
