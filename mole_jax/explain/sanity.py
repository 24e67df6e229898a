"""Can a method's maps be believed for this network? The tests, and the rule that decides.

The rule was fixed before any run was looked at, and made stricter once: what it says of signed maps was added when one
passed by luck. A method fails where one of these holds:

- blank: more than half of its maps are the same everywhere;
- the network does not matter: its maps agree with those of the network with all layers random, a mean rank correlation
  of .5 or more (what Cohen 1988, "Statistical power analysis for the behavioral sciences", calls large), or of signed
  maps -.5 or less: a random network's logit may as well be its negative, and its map with it;
- the labels do not matter: so with the maps of a network trained on shuffled labels, where there is one;
- it does not hold still: maps of turned and mirrored images, turned back, agree less than that;
- it does not tell what counts: hiding its strongest places first does not lower the logit by more than random orders
  do, or showing them first does not raise it by more (the 95 % interval of the mean over images reaches zero);
- incomplete: the sum of integrated gradients misses by more than 5 %, the bound that its authors give.

Whether maps lie in the lesion is no part of it: a faithful map of a network that looks elsewhere points elsewhere.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from mole_jax.explain.compare import is_blank, rank_correlation
from mole_jax.explain.explained import Explained, Images, Maps
from mole_jax.explain.gradients import STEPS, completeness_gap
from mole_jax.explain.hiding import Curves, curves, gain, order_of, random_curves
from mole_jax.explain.methods import METHODS
from mole_jax.explain.pointing import Masks, pointing
from mole_jax.explain.randomise import cascade, random_variables
from mole_jax.inputs.augment import position, turned_back
from mole_jax.runs.explanation import SIGNED, MethodResult

LARGE: Final = 0.5
BLANK: Final = 0.5
INCOMPLETE: Final = 0.05
SEED: Final = 0


class Bench(NamedTuple):
    """What the tests of all methods share.

    Attributes:
        explained: the trained network.
        fed: what it is fed of the images of the tests.
        steps: of the cascade, named.
        random: two random networks.
        twin: the network trained on shuffled labels; None: there is none.
        by_chance: curves of deletion and insertion in random orders.
        masks: of the lesions; None: not known.
    """

    explained: Explained
    fed: Images
    steps: Sequence[tuple[str, Explained]]
    random: tuple[Explained, Explained]
    twin: Explained | None
    by_chance: tuple[Curves, Curves]
    masks: Masks | None


def set_up(
    explained: Explained,
    images: UInt8[np.ndarray, "n side side 3"],
    *,
    twin: Explained | None = None,
    masks: Masks | None = None,
) -> Bench:
    """Prepares the tests on some images.

    Args:
        explained: the trained network.
        images: at least two, one a lesion.
        twin: the same network trained on shuffled labels.
        masks: where each image's lesion is.
    """
    fed = explained.fed(images)
    steps = cascade(explained, seed=SEED)
    other = explained.replaced(random_variables(explained.variables, seed=SEED + 1))
    by_chance = random_curves(explained, fed, seed=SEED)
    return Bench(explained, fed, steps, (steps[-1][1], other), twin, by_chance, masks)


def judge(bench: Bench, method: str) -> MethodResult:
    """All tests of one method, and the verdict.

    Args:
        bench: from `set_up`.
        method: a key of METHODS that the network allows.
    """
    compute, fed = METHODS[method].maps, bench.fed
    compute(bench.explained, fed[:1])  # compiles
    began = time.perf_counter()
    maps = compute(bench.explained, fed)
    seconds = (time.perf_counter() - began) / len(fed)
    correlations = []
    for _, less in bench.steps:
        last = compute(less, fed)
        correlations.append(_mean(rank_correlation(maps, last)))
    other = compute(bench.random[1], fed)
    shuffled = None if bench.twin is None else _mean(rank_correlation(maps, compute(bench.twin, fed)))
    turned = _over_positions(compute, bench.explained, fed, maps)
    deletion, insertion = curves(bench.explained, fed, order_of(maps))
    gap = completeness_gap(bench.explained, fed, maps) if method == "integrated_gradients" else None
    result = MethodResult(
        method=method,
        reasons=(),
        seconds=seconds,
        blank=float(is_blank(maps).mean()),
        cascade=tuple(correlations),
        two_random=_mean(rank_correlation(last, other)),
        shuffled_labels=shuffled,
        positions=turned,
        deletion=gain(bench.by_chance[0], deletion, deletion),
        insertion=gain(insertion, bench.by_chance[1], insertion),
        completeness=None if gap is None else float(np.median(gap)),
        pointing=None if bench.masks is None else pointing(maps, bench.masks),
    )
    return with_verdict(result)


def with_verdict(result: MethodResult) -> MethodResult:
    """The result with the reasons that the rule above gives."""
    random, shuffled, gap = result.cascade[-1], result.shuffled_labels or 0, result.completeness

    def agrees(correlation: float) -> bool:
        return (abs(correlation) if result.method in SIGNED else correlation) >= LARGE

    failed = {
        f"{result.blank:.0%} of its maps are blank": result.blank > BLANK,
        f"a random network gives much the same map{_up_to_sign(random)}: rank correlation {random:.2f}": agrees(random),
        f"a network trained on shuffled labels does{_up_to_sign(shuffled)}: rank correlation {shuffled:.2f}": agrees(
            shuffled
        ),
        f"it changes when the image is turned: rank correlation {result.positions:.2f}": result.positions < LARGE,
        "hiding its strongest places lowers the score no more than hiding any": result.deletion.low <= 0,
        "showing its strongest places raises the score no more than showing any": result.insertion.low <= 0,
        f"its sum misses the change of the logit by {gap or 0:.0%}, with {STEPS} steps": (gap or 0) > INCOMPLETE,
    }
    return replace(result, reasons=tuple(reason for reason, holds in failed.items() if holds))


def _up_to_sign(correlation: float) -> str:
    return ", but for its sign" if correlation < 0 else ""


def _over_positions(
    compute: Callable[[Explained, Images], Maps], explained: Explained, fed: Images, maps: Maps
) -> float:
    """The mean rank correlation of maps with those of the images in the seven other positions, turned back."""
    found = [
        rank_correlation(maps, turned_back(compute(explained, np.asarray(position(jnp.asarray(fed), which))), which))
        for which in range(1, 8)
    ]
    return _mean(np.stack(found))


def _mean(values: np.ndarray) -> float:
    return float(values.mean())
