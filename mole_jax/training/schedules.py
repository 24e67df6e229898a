"""How the learning rate goes over a phase: what each step's is, as a share of the rate that was given."""

import jax.numpy as jnp
import optax

from mole_jax.config import RunConfig

# He et al. 2016 (arXiv:1512.03385, section 4.2) divide the rate by ten at half and at three quarters of the steps.
STEPS = (0.5, 0.75)
STEP_FACTOR = 0.1


def rate_share(config: RunConfig, *, steps: int, per_epoch: int) -> optax.Schedule | None:
    """Gives the function from the number of steps done in a phase to the share of its learning rate, 0 to 1.

    None where the rate is always the whole of it. A warm-up rises in equal parts to the whole; the rest of the phase
    then follows `schedule`.

    Args:
        config: `schedule` and `warmup_epochs` are read.
        steps: of the phase.
        per_epoch: steps of an epoch.
    """
    warm = min(round(config.warmup_epochs * per_epoch), steps)
    if config.schedule == "constant" and not warm:
        return None
    rest = max(1, steps - warm)
    schedule = {
        "constant": optax.constant_schedule(1.0),
        "cosine": optax.cosine_decay_schedule(1.0, rest),
        "step": optax.piecewise_constant_schedule(1.0, {round(share * rest): STEP_FACTOR for share in STEPS}),
    }[config.schedule]
    if warm:
        # The first step has one part, not none, and the last step of the warm-up the whole.
        rise = optax.linear_schedule(1 / warm, 1.0, max(1, warm - 1))
        schedule = optax.join_schedules([rise, schedule], [warm])
    return lambda count: schedule(jnp.asarray(count, jnp.float32))
