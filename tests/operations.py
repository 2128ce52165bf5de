"""Normal operation of made-up sensors: any covariance will do, so long as it is one."""

import numpy as np

from detector.operation import Operation
from detector.rows import Rows

STEPS, MINIMUM_STEPS = 30, 10


def any_covariance(rng: np.random.Generator, sensors: int) -> np.ndarray:
    root = rng.normal(size=(sensors, sensors))
    return root @ root.T + 0.05 * np.eye(sensors)


def any_rows(rng: np.random.Generator, sensors: int = 4) -> Rows:
    return Rows(
        rng.normal(size=sensors),
        any_covariance(rng, sensors),
        rng.normal(size=sensors),
        rng.uniform(0.2, 2, sensors),
    )


def any_operation(rng: np.random.Generator, sensors: int = 4) -> Operation:
    """Correlated sensors; short windows scatter more than full ones."""
    whole = any_covariance(rng, sensors)
    rows = any_rows(rng, sensors)
    return Operation(
        STEPS,
        MINIMUM_STEPS,
        level=rows.level,
        covariance=whole,
        short_covariance=whole + any_covariance(rng, sensors),
        scatter=rng.normal(size=sensors),
        scatter_sd=rng.uniform(0.2, 2, sensors),
        roughness=rng.normal(size=sensors),
        roughness_sd=rng.uniform(0.2, 2, sensors),
        log_error=rng.normal(size=sensors),
        log_error_sd=rng.uniform(0.2, 2, sensors),
        coverage=np.ones(sensors),
        rows=rows,
    )
