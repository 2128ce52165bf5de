"""How a model is trained: every choice in one frozen object, read from TOML."""

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import BadRecipe

Share = Annotated[float, Field(ge=0, lt=1)]
FaultSize = Annotated[float, Field(gt=0, le=1000)]
Steps = Annotated[int, Field(ge=0)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LossWeights(BaseModel):
    """Weights of the two losses from one optimiser step on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_step: Steps = Field(
        default=0, description="First optimiser step, counted from 0, that they hold for."
    )
    reconstruction: Weight = Field(default=1.0, description="Weight of the reconstruction loss.")
    classification: Weight = Field(default=0.0, description="Weight of the cross-entropy.")
    ramp_steps: Steps = Field(
        default=0,
        description="Steps in which they are reached in a straight line from those before; 0 switches.",
    )


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
        "centres differ by over one standard deviation, and whose later rows lie far nearer to their own "
        "first ones than to the other files.",
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
    attention: bool = Field(
        False,
        description="Whether the code of a window holds, beside the encoder's last state, an attended mean "
        "of its states over all steps: for long windows.",
    )
    dropout: Share = Field(0.0, description="Dropout on the inputs of recurrent layers.")
    recurrent_dropout: Share = Field(0.0, description="Dropout on the recurrent state.")
    head_units: Annotated[int, Field(ge=0, le=1024)] | None = Field(
        None,
        description="Units of the head's hidden layer, which sees the code and statistics of each sensor; "
        "64, or 12 for each class where that is more, unless given; with 0 the classes come from the code "
        "alone.",
    )
    head_dropout: Share = Field(0.3, description="Dropout in the head.")
    input_clip: Annotated[float, Field(gt=1)] = Field(
        10.0, description="Standardised readings are cut to ± this before the network sees them."
    )
    # Fitting: reconstruction first, then both, counted in optimiser steps.
    batch_size: Annotated[int, Field(ge=2, le=8192)] = Field(128, description="Windows an optimiser step.")
    reconstruction_steps: Steps = Field(600, description="Optimiser steps on the reconstruction alone.")
    joint_steps: Annotated[int, Field(ge=1)] = Field(900, description="Optimiser steps on both losses.")
    reconstruction_loss: Literal["mse", "bce"] = Field(
        "mse",
        description="`mse`: squared deviations; `bce`: binary cross-entropy of readings squashed into 0..1, "
        "where wild readings weigh less.",
    )
    reconstruction_weight: Weight = Field(1.0, description="Weight of the reconstruction loss.")
    classification_weight: Weight = Field(0.5, description="Weight of the cross-entropy in the joint stage.")
    loss_weights: list[LossWeights] = Field(
        [],
        description="Tables of `from_step`, `reconstruction`, `classification` and `ramp_steps`, in place of "
        "the two stages and the two weights above.",
    )
    class_weights: Literal["none", "balanced"] | dict[str, Weight] = Field(
        "none",
        description="How classes count in the cross-entropy. `none`: windows alike; `balanced`: classes "
        "alike, however many windows of a batch are theirs; or a table of weights by class, else 1.",
    )
    optimiser: Literal["adam", "rmsprop"] = Field("adam", description="Optimiser.")
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        2e-3, description="Peak rate, reached after a short warm-up."
    )
    decay: Literal["cosine", "exponential", "none"] = Field(
        "cosine",
        description="How the rate falls from its peak: `cosine` to 0, `exponential` to a hundredth, `none`.",
    )
    clip_norm: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        1.0, description="Gradients are cut to this global norm; 0 leaves them as they are."
    )
    seed: int = Field(0, description="Seeds weights, sampling, injection and splits.")
    # What a batch is made of.
    injected_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Share of windows with an injected fault; 0.2 beside recorded faults and 0.5 without, "
        "unless given.",
    )
    recorded_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.4, description="Share of windows with a recorded fault, where labels exist."
    )
    fault_size: tuple[FaultSize, FaultSize] = Field(
        (1.0, 20.0),
        description="Smallest and largest injected fault, standard deviations; drawn with an even logarithm.",
    )
    offset_sd: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="Windows are moved by random offsets of this deviation; 0.3, or more for a sensor whose "
        "level wanders and was seen in few windows, unless given.",
    )
    missing_share: Share = Field(
        0.05,
        description="Share of windows that lose sensors, share that lose readings and share that lose rows: "
        "up to three fifths of them.",
    )
    shorten_share: Share = Field(0.15, description="Share of windows that are cut short.")
    # What is kept apart.
    calibration_share: Annotated[float, Field(gt=0, lt=0.9)] = Field(
        0.4, description="Share of experiments (or of time, with few) kept for calibration."
    )
    calibration_folds: Annotated[int, Field(ge=0, le=10)] = Field(
        2,
        description="With so many files that nothing need be kept apart for calibration: the experiments are "
        "divided into this many folds, and each is scored by a network fitted on the others in half the "
        "steps. 0 or 1 keeps `calibration_share` apart instead, as a split by time always does.",
    )
    test_share: Annotated[float, Field(gt=0, lt=0.9)] = Field(
        0.2, description="Share kept for the reported figures, unless test files are named."
    )
    classifier_weight: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="Weight of the classifier's score in the decision, the rest is the reconstruction's; 3/4 "
        "where it learnt from recorded faults and 1/3 where from injected ones alone, unless given.",
    )
    default_false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Alarm budget of the model; 0.05, or the smallest that the calibration data supports, "
        "unless given.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.minimum_steps is not None and self.minimum_steps > self.window_steps:
            raise ValueError("minimum_steps exceeds window_steps")
        if self.fault_size[0] > self.fault_size[1]:
            raise ValueError("fault_size: the smallest exceeds the largest")
        if self.loss_weights:
            self._check_loss_weights()
        return self

    def _check_loss_weights(self) -> None:
        for name in ("reconstruction_weight", "classification_weight"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"loss_weights replaces {name}: give one of the two")
        first = [stage.from_step for stage in self.loss_weights]
        if first[0] != 0 or first != sorted(set(first)):
            raise ValueError(f"loss_weights: from_step should begin at 0 and rise, found {first}")
        if first[-1] >= self.steps:
            raise ValueError(
                f"loss_weights: from_step {first[-1]} is never reached in {self.steps} optimiser steps"
            )
        if self.loss_weights[0].ramp_steps:
            raise ValueError("loss_weights: there is nothing to ramp from at step 0")
        for stage, later in pairwise(self.loss_weights):
            if stage.from_step + stage.ramp_steps > later.from_step:
                raise ValueError(f"loss_weights: a ramp is not at its end by step {later.from_step}")
        for stage in self.loss_weights:
            if stage.reconstruction == stage.classification == 0:
                raise ValueError(f"loss_weights: nothing is learnt from step {stage.from_step} on")

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return self.reconstruction_steps + self.joint_steps

    def shortened(self, steps: int) -> "Recipe":
        """The same recipe over so many optimiser steps, its stages in proportion."""
        share = steps / self.steps
        first = min(round(self.reconstruction_steps * share), steps - 1)
        stages = [
            {
                **stage.model_dump(),
                "from_step": int(stage.from_step * share),
                "ramp_steps": int(stage.ramp_steps * share),
            }
            for stage in self.loss_weights
        ]
        changes = {"reconstruction_steps": first, "joint_steps": steps - first, "loss_weights": stages}
        return type(self).model_validate(self.model_dump() | changes)

    @property
    def loss_stages(self) -> list[LossWeights]:
        """What the weights of the losses are, from which step on: `loss_weights`, or the two stages."""
        if self.loss_weights:
            return self.loss_weights
        joint = LossWeights(
            from_step=self.reconstruction_steps,
            reconstruction=self.reconstruction_weight,
            classification=self.classification_weight,
        )
        alone = LossWeights(reconstruction=self.reconstruction_weight)
        return [alone, joint] if self.reconstruction_steps else [joint]

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
