"""Normal operation of made-up sensors: any covariance will do, so long as it is one."""

import numpy as np

from detector.operation import Operation

STEPS, MINIMUM_STEPS = 30, 10


def any_operation(rng: np.random.Generator, sensors: int = 4) -> Operation:
    """Correlated sensors; short windows scatter more than full ones."""

    def covariance() -> np.ndarray:
        root = rng.normal(size=(sensors, sensors))
        return root @ root.T + 0.05 * np.eye(sensors)

    whole = covariance()
    return Operation(
        STEPS,
        MINIMUM_STEPS,
        level=rng.normal(size=sensors),
        covariance=whole,
        short_covariance=whole + covariance(),
        scatter=rng.normal(size=sensors),
        scatter_sd=rng.uniform(0.2, 2, sensors),
        roughness=rng.normal(size=sensors),
        roughness_sd=rng.uniform(0.2, 2, sensors),
        log_error=rng.normal(size=sensors),
        log_error_sd=rng.uniform(0.2, 2, sensors),
    )
