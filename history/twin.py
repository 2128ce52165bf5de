"""A small simulator of a plant's normal operation, so that nobody's data need be shipped.

A vector autoregression (Lütkepohl 2005, New Introduction to Multiple Time Series Analysis, chapter 2) on
standardised readings, estimated with a ridge, made stable, and scaled to the variances of the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from history.errors import TooFewRows, UnreadableFile

Floats = NDArray[np.float64]

# Largest eigenvalue of the companion matrix: 1000 steps of burn-in then forget all but 0.7 % of the start.
STABLE_RADIUS = 0.995
BURN_IN_STEPS = 1000
# Ridge, as a share of the rows, and in rows per coefficient: keeps 300 sensors on 400 rows well posed.
RIDGE_SHARE, RIDGE_PER_COEFFICIENT = 1e-3, 0.2
# Smallest variance that is simulated; a constant sensor stays constant to the eye.
LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """Parameters of the simulator.

    center, scale: float64 (sensors,), engineering units.
    transition: float64 (lags, sensors, sensors), standardised; [k] acts on readings k + 1 steps ago.
    noise_cholesky: float64 (sensors, sensors), lower triangular, of the covariance of each step's novelty.
    """

    sensors: tuple[str, ...]
    center: Floats
    scale: Floats
    transition: Floats
    noise_cholesky: Floats

    @classmethod
    def fit(
        cls,
        sensors: Sequence[str],
        standardised: Sequence[Floats],
        center: Floats,
        scale: Floats,
        lags: int = 2,
    ) -> "Twin":
        """Estimate from rows of normal operation.

        standardised: per recording (rows, sensors), (reading - center) / scale; rows with a NaN are skipped,
        and nothing is learnt across them or from one recording to the next. The mean that the rows have left
        goes into the twin's centre. Raises TooFewRows without `lags` + 2 complete rows in succession.
        """
        width = len(sensors)
        parts = [lagged for rows in standardised for lagged in _lagged(rows, lags)]
        count = sum(len(part) for part in parts)
        if count < 2:
            raise TooFewRows(
                f"a twin needs {lags + 2} consecutive complete rows of normal operation", place="twin"
            )
        present = np.concatenate([part[:, :width] for part in parts])
        mean, variance = present.mean(axis=0), np.maximum(present.var(axis=0), LEAST_VARIANCE)
        # In units of their own spread, so that one ridge fits all sensors.
        spread = np.sqrt(variance)
        gram = np.zeros(((lags + 1) * width,) * 2)
        for part in parts:
            moved = (part - np.tile(mean, lags + 1)) / np.tile(spread, lags + 1)
            gram += moved.T @ moved
        past, now = gram[width:, width:], gram[:width, width:]
        ridge = RIDGE_SHARE * count + RIDGE_PER_COEFFICIENT * lags * width
        weights = np.linalg.solve(past + ridge * np.eye(lags * width), now.T).T
        noise = (
            gram[:width, :width] - weights @ now.T - now @ weights.T + weights @ past @ weights.T
        ) / count
        transition = _stabilised(
            np.asarray(weights.reshape(width, lags, width).transpose(1, 0, 2), np.float64)
        )
        noise = 0.5 * (noise + noise.T) + 1e-9 * np.eye(width)
        # The ridge and the shrinking cost variance: give it back, which leaves the eigenvalues as they are.
        ratio = spread / np.sqrt(np.maximum(stationary_variance(transition, noise), LEAST_VARIANCE))
        return cls(
            sensors=tuple(sensors),
            center=np.asarray(center, np.float64) + mean * scale,
            scale=np.asarray(scale, np.float64).copy(),
            transition=transition * ratio[:, None] / ratio,
            noise_cholesky=ratio[:, None] * _cholesky(noise),
        )

    def simulate(self, steps: int, rng: np.random.Generator) -> Floats:
        """Normal operation: float64 (steps, sensors), engineering units. Equal `rng`, equal rows."""
        lags, width = self.transition.shape[:2]
        total = lags + BURN_IN_STEPS + steps
        # One memory layout, so that a twin that was saved and loaded gives the same rows to the last digit.
        rows = rng.standard_normal((total, width)) @ np.ascontiguousarray(self.noise_cholesky).T
        # Oldest first, so that the last rows, flattened, are the state.
        weights = np.ascontiguousarray(np.concatenate(self.transition[::-1], axis=1))
        for step in range(lags, total):
            rows[step] += weights @ rows[step - lags : step].ravel()
        return self.center + self.scale * rows[lags + BURN_IN_STEPS :]

    def save(self, path: Path) -> None:
        """Write an npz file without pickled objects."""
        np.savez_compressed(
            path,
            sensors=np.array(self.sensors, np.str_),
            center=self.center,
            scale=self.scale,
            transition=self.transition,
            noise_cholesky=self.noise_cholesky,
        )

    @classmethod
    def load(cls, path: Path) -> "Twin":
        """Raises UnreadableFile when the file is absent, or is no twin."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                twin = cls(
                    sensors=tuple(str(name) for name in stored["sensors"]),
                    center=stored["center"].astype(np.float64),
                    scale=stored["scale"].astype(np.float64),
                    transition=stored["transition"].astype(np.float64),
                    noise_cholesky=stored["noise_cholesky"].astype(np.float64),
                )
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise UnreadableFile(f"is not a twin: {error}", place=str(path)) from None
        width = len(twin.sensors)
        shapes = (twin.center.shape, twin.scale.shape, twin.noise_cholesky.shape, twin.transition.shape[1:])
        if shapes != ((width,), (width,), (width, width), (width, width)) or twin.transition.ndim != 3:
            raise UnreadableFile("is not a twin: its arrays do not fit its sensors", place=str(path))
        return twin


def stationary_variance(transition: Floats, noise: Floats) -> Floats:
    """Variance of each sensor in the long run: (sensors,).

    Sums the Lyapunov series P = Q + F Q F' + F² Q F'² + … by doubling (Anderson 1978).
    transition: (lags, sensors, sensors), stable. noise: (sensors, sensors), covariance.
    """
    width = noise.shape[0]
    power = _companion(transition)
    total = np.zeros_like(power)
    total[:width, :width] = noise
    for _ in range(40):
        more = power @ total @ power.T
        total = total + more
        if np.abs(more).max() <= 1e-10 * np.abs(total).max():
            break
        power = power @ power
    return np.diag(total)[:width].copy()


def _lagged(rows: Floats, lags: int) -> list[Floats]:
    """Rows beside their past, newest first: (n, (lags + 1) * sensors), one array per run of complete rows."""
    complete = np.isfinite(rows).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], complete.astype(np.int8), [0]))))
    found = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first > lags:
            run = rows[first:last]
            found.append(np.hstack([run[lags - k : len(run) - k] for k in range(lags + 1)]))
    return found


def _companion(transition: Floats) -> Floats:
    lags, width = transition.shape[:2]
    companion = np.zeros((lags * width,) * 2)
    companion[:width] = np.concatenate(transition, axis=1)
    companion[width:, :-width] = np.eye((lags - 1) * width)
    return companion


def _stabilised(transition: Floats) -> Floats:
    """Weights shrunk so that no eigenvalue of the companion matrix exceeds STABLE_RADIUS.

    Multiplying transition[k] by r to the power k + 1 multiplies every eigenvalue by r.
    """
    radius = float(np.abs(np.linalg.eigvals(_companion(transition))).max())
    if radius <= STABLE_RADIUS:
        return transition
    powers = (STABLE_RADIUS / radius) ** np.arange(1, len(transition) + 1)
    return np.asarray(transition * powers[:, None, None])


def _cholesky(covariance: Floats) -> Floats:
    """Cholesky factor, with as much on the diagonal as it takes."""
    jitter = 1e-9 * max(float(np.trace(covariance)) / len(covariance), LEAST_VARIANCE)
    while True:
        try:
            return np.asarray(np.linalg.cholesky(covariance + jitter * np.eye(len(covariance))))
        except np.linalg.LinAlgError:
            jitter *= 10
