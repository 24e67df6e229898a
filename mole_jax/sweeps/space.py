"""What a sweep varies, as people write it: fields with their values or ranges."""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from mole_jax.config import HINTS, RunConfig
from mole_jax.errors import UserError

# What is the same for all trials of a sweep: figures on other images, or in other places, do not compare.
FIXED: Final = frozenset({"dataset", "data_dir", "run_dir", "profile"})
DIGITS: Final = 3  # of a drawn number: a table of trials stays readable, and no result depends on more


@dataclass(frozen=True)
class Range:
    """All numbers between two.

    Attributes:
        kind: "uniform", or "log": uniform in the logarithm.
        low: the smallest.
        high: the largest.
        whole: whether whole numbers alone are drawn.
    """

    kind: Literal["uniform", "log"]
    low: float
    high: float
    whole: bool

    def at(self, share: float) -> float | int:
        """The number at a share of the range, 0..1, to `DIGITS` digits and within the range."""
        if self.kind == "uniform" and self.whole:
            return int(min(self.low + share * (self.high - self.low + 1) // 1, self.high))
        if self.kind == "log":
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        return rounded(value, self)

    def __str__(self) -> str:
        return f"{self.kind}({self.low:g},{self.high:g})"


Space = Mapping[str, Sequence[Any] | Range]


def rounded(value: float, within: Range) -> float | int:
    """A number of a range, to `DIGITS` digits, or as a whole number."""
    near = round(value) if within.whole else float(f"{value:.{DIGITS}g}")
    return type(near)(min(max(near, within.low), within.high))


def parse_space(text: str) -> dict[str, list[Any] | Range]:
    """Field -> values of the field's type, or a range, from "learning_rate=log(1e-4,1e-1) batch_size=20,100".

    Raises:
        UserError: a part is not `field=value,...`, or names no field, or a value is not of its type.
    """
    space: dict[str, list[Any] | Range] = {}
    for part in re.sub(r"\([^)]*\)", lambda found: found[0].replace(" ", ""), text).split():
        name, _, values = part.partition("=")
        if not values or name in space:
            raise UserError(f"{part!r} in --grid: write each field once, as field=value,value")
        if name not in HINTS:
            raise UserError(f"{name!r} in --grid is not an option of a run; they are {', '.join(sorted(HINTS))}")
        if name in FIXED:
            raise UserError(f"{name!r} is the same for a whole sweep: take it out of the grid, give --{name}")
        space[name] = _values(part, name, values)
    if not space:
        raise UserError("give --grid, for example --grid='learning_rate=0.1,0.01 batch_size=100,500'")
    return space


def _values(part: str, name: str, text: str) -> list[Any] | Range:
    hint = HINTS[name]
    if found := re.fullmatch(r"(\w+)\(([^()]*)\)", text):
        return _range(part, name, *found.groups())
    convert = hint if hint in (int, float) else str
    try:
        values = [convert(value) for value in text.split(",")]
    except ValueError:
        raise UserError(f"{part!r} in --grid: {name} takes values of type {convert.__name__}") from None
    if len(set(values)) < len(values):
        raise UserError(f"{part!r} in --grid names a value twice; name each once")
    return values


def _range(part: str, name: str, kind: str, ends: str) -> Range:
    hint = HINTS[name]
    if kind not in ("log", "uniform") or hint not in (int, float):
        raise UserError(
            f"{part!r} in --grid: a range is log(low,high) or uniform(low,high), of a field that is a number"
        )
    try:
        low, high = (hint(end) for end in ends.split(","))
    except ValueError:
        raise UserError(f"{part!r} in --grid: a range has two ends of type {hint.__name__}, {kind}(low,high)") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high and (kind == "uniform" or low > 0)):
        above = " above 0" if kind == "log" else ""
        raise UserError(f"{part!r} in --grid: the ends of a range are finite{above}, the smaller first")
    return Range("log" if kind == "log" else "uniform", low, high, whole=hint is int)


def combinations(space: Space) -> list[dict[str, Any]]:
    """One dict for each combination of the values, the last field varying fastest.

    Raises:
        UserError: a field has a range, which has no end of values.
    """
    for name, values in space.items():
        if isinstance(values, Range):
            raise UserError(f"{name}={values} has no end of values: give --random=N or --tpe=N with it, or list values")
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]  # type: ignore[arg-type]


def draws(space: Space, count: int) -> list[dict[str, Any]]:
    """`count` random combinations, each another one. A larger count begins with the same.

    Raises:
        UserError: there are not as many combinations.
    """
    size = math.prod(math.inf if isinstance(values, Range) else len(values) for values in space.values())
    drawn: dict[str, dict[str, Any]] = {}
    for number in itertools.count():
        if len(drawn) == count:
            return [*drawn.values()]
        if len(drawn) >= size or number > 1000 * count:
            raise UserError(
                f"--random={count}, and --grid has but {len(drawn)} different combinations: give a smaller --random, "
                "or wider ranges"
            )
        random = np.random.default_rng((0, number))
        one = {name: _draw(values, float(random.random())) for name, values in space.items()}
        drawn.setdefault(json.dumps(one), one)
    raise AssertionError("itertools.count has no end")


def corners(space: Space) -> list[dict[str, Any]]:
    """Combinations that between them have each listed value, and both ends of each range: if all are sound, so is
    whatever is drawn.
    """
    ends = {
        name: [values.low, values.high] if isinstance(values, Range) else list(values) for name, values in space.items()
    }
    longest = max(map(len, ends.values()))
    return [{name: values[i % len(values)] for name, values in ends.items()} for i in range(longest)]


def described(space: Space) -> dict[str, list[Any] | str]:
    """The space as plain JSON."""
    return {name: str(values) if isinstance(values, Range) else list(values) for name, values in space.items()}


def sweep_name(config: RunConfig, space: Space, how: str = "grid") -> str:
    """What a sweep is called where nobody says otherwise.

    The space is a part of it, and so are the way through it and the number of epochs; how many trials and seeds is not,
    so that more of them go on from fewer.
    """
    varied = {"epochs": config.epochs, "finetune_epochs": config.finetune_epochs, **described(space)}
    if how != "grid":
        varied["how"] = how
    digest = hashlib.sha256(json.dumps(varied, sort_keys=True).encode()).hexdigest()[:8]
    models = space.get("model", [])
    name = config.name if not models else f"{'-'.join(map(str, models))}-{config.dataset}-{config.hash}"  # type: ignore[arg-type]
    return f"sweep-{name}-{digest}"


def _draw(values: Sequence[Any] | Range, share: float) -> Any:
    if isinstance(values, Range):
        return values.at(share)
    return values[min(int(share * len(values)), len(values) - 1)]
