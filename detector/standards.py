"""By what each window of a batch is judged: its asset's baseline or the model's own, and what it holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.baseline import Baseline
from detector.lengths import Levels, ShorterLevels
from detector.manifest import Level, Manifest
from detector.windows import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Standards:
    """Of all windows of a batch, by window; one row for all of them where none has a baseline of its asset.

    center, scale: (1 or windows, sensors), engineering units. left_out: bool, same shape: sensors that are
    not judged. shift: how far each asset's centre lies from the model's, same shape; None for the model's.
    classifier, reconstruction: mean and deviation, each (1 or windows,), of that raw score on full normal
    windows.
    by_asset: bool (windows,), which have a baseline; None where none has.
    leaves_out: whether any sensor is left out.
    """

    center: Floats
    scale: Floats
    left_out: Bools
    shift: Floats | None
    classifier: Levels
    reconstruction: Levels
    by_asset: Bools | None
    leaves_out: bool


class Baselines:
    """The model's own baseline, and what an asset's takes the place of."""

    def __init__(self, manifest: Manifest) -> None:
        self._center, self._scale = manifest.center, manifest.scale
        self._left_out = np.array([not sensor.scored for sensor in manifest.sensors])
        self._of_model = manifest.calibration.normal_operation(by_asset=False)
        self._of_assets = manifest.calibration.normal_operation(by_asset=True)
        self._steps = manifest.window.steps
        self._shorter_by_model = ShorterLevels(self._of_model, self._steps)
        self._shorter_by_asset = ShorterLevels(self._of_assets, self._steps)
        self._own = Standards(
            self._center[None],
            self._scale[None],
            self._left_out[None],
            None,
            _levels([self._of_model.classifier]),
            _levels([self._of_model.reconstruction]),
            None,
            bool(self._left_out.any()),
        )

    def of(self, baselines: Sequence[Baseline | None]) -> Standards:
        """Of windows with these baselines."""
        if not any(baselines):
            return self._own
        center = np.stack([self.center(each) for each in baselines])
        left_out = np.stack([self.left_out(each) for each in baselines])
        return Standards(
            center,
            np.stack([self.scale(each) for each in baselines]),
            left_out,
            center - self._center,
            _levels([self._level(each, "classifier") for each in baselines]),
            _levels([self._level(each, "reconstruction") for each in baselines]),
            np.array([each is not None for each in baselines]),
            bool(left_out.any()),
        )

    def levels(self, standards: Standards, steps: Ints) -> tuple[Levels, Levels]:
        """Mean and deviation of either raw score on normal windows that are worth so many steps, (windows,).

        Returns those of the classifier's and of the reconstruction's, each (1 or windows,).
        """
        full = standards.classifier, standards.reconstruction
        if not self._shorter_by_model.measured or (steps == self._steps).all():
            return full
        by_model = self._shorter_by_model.of(steps, *full)
        if standards.by_asset is None:
            return by_model
        by_asset = self._shorter_by_asset.of(steps, *full)
        classifier, reconstruction = (
            (np.where(standards.by_asset, own[0], other[0]), np.where(standards.by_asset, own[1], other[1]))
            for own, other in zip(by_asset, by_model, strict=True)
        )
        return classifier, reconstruction

    def center(self, baseline: Baseline | None) -> Floats:
        """(sensors,)."""
        return self._center if baseline is None else baseline.center

    def scale(self, baseline: Baseline | None) -> Floats:
        """(sensors,)."""
        return self._scale if baseline is None else baseline.scale

    def left_out(self, baseline: Baseline | None) -> Bools:
        """Sensors that are not judged, bool (sensors,)."""
        return self._left_out if baseline is None else np.asarray(self._left_out | baseline.left_out)

    def _level(self, baseline: Baseline | None, score: str) -> Level:
        """Of that raw score; what is usual of assets where an asset's own is not known."""
        if baseline is None:
            level: Level = getattr(self._of_model, score)
        else:
            level = getattr(baseline, score) or getattr(self._of_assets, score)
        return level


def _levels(levels: Sequence[Level]) -> Levels:
    return np.array([each.mean for each in levels]), np.array([each.sd for each in levels])
