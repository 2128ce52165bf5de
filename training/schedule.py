"""What changes from one optimiser step to the next: the learning rate and the weights of the losses."""

import math

from training.recipe import Recipe

MOST_WARM_UP = 50
# What an exponential decay leaves of the peak rate.
LAST_SHARE = 0.01


def learning_rate(step: int, recipe: Recipe) -> float:
    """Rate of an optimiser step, counted from 0: rises over at most MOST_WARM_UP steps, then decays."""
    warm_up = min(MOST_WARM_UP, recipe.steps // 10)
    if step < warm_up:
        return recipe.learning_rate * (step + 1) / warm_up
    passed = (step - warm_up) / max(1, recipe.steps - warm_up)
    if recipe.decay == "cosine":
        return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * passed))
    if recipe.decay == "exponential":
        return recipe.learning_rate * math.pow(LAST_SHARE, passed)
    return recipe.learning_rate


def loss_weights(step: int, recipe: Recipe) -> tuple[float, float]:
    """Weights of the reconstruction loss and of the cross-entropy at an optimiser step, counted from 0."""
    stages = recipe.loss_stages
    index = max(k for k, stage in enumerate(stages) if stage.from_step <= step)
    aim, before = stages[index], stages[max(0, index - 1)]
    reached = min(1.0, (step - aim.from_step + 1) / (aim.ramp_steps + 1))
    return (
        (1.0 - reached) * before.reconstruction + reached * aim.reconstruction,
        (1.0 - reached) * before.classification + reached * aim.classification,
    )
