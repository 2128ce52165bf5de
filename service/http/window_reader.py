"""One window of a request: from its JSON to what the model judges."""

import msgspec
import numpy as np
from msgspec import Raw, Struct

from detector.errors import WindowTooShort
from detector.manifest import Manifest
from detector.quality import Issue
from detector.windows import Floats, segments
from service.errors import InvalidAsset
from service.http import locate
from service.http.npy import check_finite
from service.http.readings import check_steps, from_rows, read_readings
from service.http.sound_json import Odd, SoundBody
from service.http.timestamps import check_period, read_timestamps
from service.http.wire import Window as WireWindow

MAX_ASSET_CHARACTERS = 128
_decoder = msgspec.json.Decoder(WireWindow)


class ReadWindow(Struct, frozen=True):
    """A window that was understood. values: float64 (1..model's steps, sensors), NaN missing."""

    values: Floats
    id: str | int | None = None
    asset: str | None = None
    notes: tuple[Issue, ...] = ()


def check_asset(name: str, at: str = "asset") -> str:
    """The name itself. Raises InvalidAsset unless it is 1 to 128 printable characters, trimmed."""
    if not 1 <= len(name) <= MAX_ASSET_CHARACTERS or not name.isprintable() or name != name.strip():
        raise InvalidAsset(
            "the asset's name is empty, too long, padded, or has characters that cannot be printed",
            place=at,
            expected=f"1 to {MAX_ASSET_CHARACTERS} printable characters, without blanks around them",
        )
    return name


class WindowReader:
    """Reads windows for one model."""

    def __init__(self, manifest: Manifest, max_steps: int) -> None:
        self._sensors = manifest.sensor_names
        self._shape = manifest.window
        self._max_steps = max_steps

    def read(self, raw: Raw, at: str) -> ReadWindow:
        """A window object at place `at`. Raises BadWindow, ServiceError, each with its place."""
        window = locate.decoded(_decoder, raw, at)
        if window.asset is not None:
            check_asset(window.asset, f"{at}.asset")
        values, place = read_readings(window.readings, window.values, self._sensors, self._max_steps, at)
        return self._understand(window, values, at, place)

    def read_sound(self, body: SoundBody) -> list[ReadWindow]:
        """All windows of a body, or none: raises Odd, BadWindow, ServiceError for the first that is not
        sound, which only `read` tells the place of."""
        read = []
        for window, values in body.windows(self._sensors):
            if window.asset is not None:
                check_asset(window.asset)
            check_steps(len(values), self._max_steps, "windows")
            read.append(self._understand(window, values, "windows", "windows"))
        return read

    def _understand(self, window: WireWindow, values: Floats, at: str, place: str) -> ReadWindow:
        """at, place: of the window, and of its readings."""
        self._check_length(values, place)
        timestamps = None
        if stamps := bytes(window.timestamps):
            timestamps = read_timestamps(stamps, len(values), f"{at}.timestamps")
            check_period(timestamps, self._shape.period_s, f"{at}.timestamps")
        values, notes = self._newest(values, timestamps)
        return ReadWindow(values, window.id, window.asset, notes)

    def read_rows(self, raw: Raw, at: str) -> ReadWindow:
        """The shorthand: nothing but rows."""
        values = from_rows(bytes(raw), self._sensors, self._max_steps, at)
        self._check_length(values, at)
        values, notes = self._newest(values, None)
        return ReadWindow(values, notes=notes)

    def read_array(self, values: Floats, asset: str | None, at: str) -> ReadWindow:
        """One window of an array, (steps, sensors)."""
        check_finite(values, at)
        check_steps(len(values), self._max_steps, at)
        self._check_length(values, at)
        values, notes = self._newest(values, None)
        return ReadWindow(values, asset=asset, notes=notes)

    def read_sound_arrays(self, windows: Floats, asset: str | None) -> list[ReadWindow]:
        """All windows of an array (windows, steps, sensors), or none: raises Odd where one has an infinity,
        TooManySteps or WindowTooShort; only `read_array` tells the place."""
        if np.isinf(windows).any():
            raise Odd
        check_steps(windows.shape[1], self._max_steps, "windows")
        self._check_length(windows[0], "windows")
        newest = [self._newest(values, None) for values in windows]
        return [ReadWindow(values, asset=asset, notes=notes) for values, notes in newest]

    def read_series(self, values: Floats, timestamps: Floats, at: str) -> ReadWindow:
        """Rows that were read already, (steps, sensors), and when they were taken, seconds, ascending."""
        self._check_length(values, at)
        check_period(timestamps, self._shape.period_s, at)
        values, notes = self._newest(values, timestamps)
        return ReadWindow(values, notes=notes)

    def _check_length(self, values: Floats, at: str) -> None:
        if len(values) < self._shape.minimum_steps:
            raise WindowTooShort(
                f"{at} has {len(values)} steps, the model needs at least {self._shape.minimum_steps}",
                place=at,
                expected=f"at least {self._shape.minimum_steps} steps",
            )

    def _newest(self, values: Floats, timestamps: Floats | None) -> tuple[Floats, tuple[Issue, ...]]:
        """The steps after the last gap, and of those the newest that the model can take."""
        shape = self._shape
        if timestamps is None and len(values) <= shape.steps:
            return values, ()
        last = segments(timestamps, len(values), shape.period_s, shape.max_gap_periods)[-1]
        values = values[last]
        if len(values) > shape.steps:
            return values[-shape.steps :], (Issue(None, "longer_than_model"),)
        if last.start > 0 and len(values) < shape.steps:
            return values, (Issue(None, "time_gap"),)
        return values, (Issue(None, "longer_than_model"),) if last.start > 0 else ()
