"""How a model is trained: every choice in one frozen object, read from TOML."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import BadRecipe

Share = Annotated[float, Field(ge=0, lt=1)]
Steps = Annotated[int, Field(ge=0)]


class Recipe(BaseModel):
    """Defaults need no thought; docs/training.md explains every key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # What a window is.
    window_steps: Annotated[int, Field(ge=4, le=4096)] = Field(30, description="Steps of a full window.")
    minimum_steps: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Steps of the shortest window that is judged; a third of a full one unless given."
    )
    max_gap_periods: Annotated[float, Field(gt=1)] = Field(
        5.0, description="A silence longer than this many sampling periods ends a window."
    )
    # Whose normal operation readings are compared with.
    baseline: Literal["auto", "asset", "pooled"] = Field(
        "auto",
        description="`asset`: each file is a machine of its own and standardised by its first normal rows; "
        "`pooled`: one centre and scale for all; `auto`: `asset` when there are three files or more whose "
        "centres differ by over one standard deviation.",
    )
    baseline_rows: Annotated[int, Field(ge=30)] = Field(
        400, description="Rows at the start of each file from which its own baseline is taken."
    )
    recovery_windows: Annotated[float, Field(ge=0)] = Field(
        20.0,
        description="Rows labelled normal within this many windows after a fault are used for nothing: "
        "machines are often still disturbed.",
    )
    # The network.
    cell: Literal["lstm", "gru"] = Field("lstm", description="Recurrent cell.")
    units: Annotated[list[Annotated[int, Field(ge=1, le=1024)]], Field(min_length=1, max_length=4)] = Field(
        [32], description="Units of each encoder layer; the decoder mirrors them."
    )
    dropout: Share = Field(0.0, description="Dropout on the inputs of recurrent layers.")
    recurrent_dropout: Share = Field(0.0, description="Dropout on the recurrent state.")
    input_clip: Annotated[float, Field(gt=1)] = Field(
        10.0, description="Standardised readings are cut to ± this before the network sees them."
    )
    # Fitting: reconstruction first, then both, counted in optimiser steps.
    batch_size: Annotated[int, Field(ge=2, le=8192)] = Field(128, description="Windows an optimiser step.")
    reconstruction_steps: Steps = Field(600, description="Optimiser steps on the reconstruction alone.")
    joint_steps: Annotated[int, Field(ge=1)] = Field(900, description="Optimiser steps on both losses.")
    reconstruction_weight: Annotated[float, Field(ge=0)] = Field(1.0, description="Weight of the MSE.")
    classification_weight: Annotated[float, Field(ge=0)] = Field(
        0.5, description="Weight of the cross-entropy in the joint stage."
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(2e-3, description="Peak rate; decays as a cosine.")
    clip_norm: Annotated[float, Field(gt=0)] = Field(
        1.0, description="Gradients are cut to this global norm."
    )
    seed: int = Field(0, description="Seeds weights, sampling, injection and splits.")
    # What a batch is made of.
    injected_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Share of windows with an injected fault; 0.3 beside recorded faults and 0.5 without, "
        "unless given.",
    )
    recorded_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.25, description="Share of windows with a recorded fault, where labels exist."
    )
    offset_sd: Annotated[float, Field(ge=0)] = Field(
        0.3, description="Normal windows are moved by random offsets of this deviation."
    )
    missing_share: Share = Field(0.05, description="Share of windows that lose a sensor or some readings.")
    shorten_share: Share = Field(0.15, description="Share of windows that are cut short.")
    # What is kept apart.
    calibration_share: Annotated[float, Field(gt=0, lt=0.9)] = Field(
        0.4, description="Share of experiments (or of time, with few) kept for calibration."
    )
    test_share: Annotated[float, Field(gt=0, lt=0.9)] = Field(
        0.2, description="Share kept for the reported figures, unless test files are named."
    )
    default_false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Alarm budget of the model; 0.02, or the smallest that the calibration data supports, "
        "unless given.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.minimum_steps is not None and self.minimum_steps > self.window_steps:
            raise ValueError("minimum_steps exceeds window_steps")
        return self

    @property
    def least_steps(self) -> int:
        """Steps of the shortest window that is judged."""
        return self.minimum_steps or max(2, self.window_steps // 3)


def read_recipe(path: Path | None, **overrides: object) -> Recipe:
    """The recipe of a TOML file, or the defaults; overrides that are None are ignored.

    Raises BadRecipe, naming file, key and what was expected.
    """
    values: dict[str, object] = {}
    if path is not None:
        try:
            values = dict(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BadRecipe(f"{path}: cannot be read: {error}") from None
    values |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "recipe"
        raise BadRecipe(f"{path or 'recipe'}: {place}: {first['msg']}") from None
