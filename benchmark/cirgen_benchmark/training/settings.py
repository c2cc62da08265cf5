"""What a stage of fine-tuning is told, as a preset writes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from cirgen.settings import Name, Settings
from cirgen_benchmark.training.schedule import Schedule

Beta = Annotated[float, Field(ge=0, lt=1)]


class BankSettings(Settings):
    """The static bank of target embeddings (stage two)."""

    negatives: PositiveInt | None = None
    """Rows drawn at random as negatives for each query; without it every row is one."""
    mask_positives: bool = False
    """Leave the triplet's other known positives out of its negatives; the paper masks nothing."""
    mask_groups: bool = False
    """Leave near duplicates of the target out of its negatives."""
    extra_images: bool = False
    """Add images that no triplet names, as further negatives."""
    dtype: Literal["float32", "float16"] = "float32"
    """How the bank is kept; sums are float32."""
    on_disk: bool = False
    """Keep the bank in a memory-mapped file instead of memory."""
    chunk: PositiveInt = 8192
    """Rows of the bank that are compared with a batch at once: memory, nothing else, depends on it."""


class PartRate(Settings):
    """The rate of one part of a retrieval model."""

    of: Name
    """How the names of its parameters begin: `model` is the checkpoint's part of a family."""
    rate: PositiveFloat


class OptimiserSettings(Settings):
    """AdamW as the paper's released code has it by default: no schedule, no warm-up, no clipping."""

    rate: PositiveFloat = 2e-5
    rates: tuple[PartRate, ...] = ()
    """Of parts that learn at another rate."""
    schedule: Schedule | None = None
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    epsilon: PositiveFloat = 1e-7
    weight_decay: Annotated[float, Field(ge=0)] = 0.01


class StageSettings(Settings):
    """One stage of fine-tuning."""

    loss: Literal["in_batch", "bank"] = "in_batch"
    """Where negatives come from: the batch (stage one of the paper) or the static bank (stage two)."""
    trains: Literal["all", "query"] = "all"
    """`all`: the model's stage-one parameters; `query`: its stage-two parameters, the target side frozen."""
    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    """Optimiser steps; give epochs or steps."""
    batch: PositiveInt = 256
    """Queries of one optimiser step, over all devices and accumulated parts."""
    accumulate: PositiveInt = 1
    """Parts that a device's share of a batch is encoded in. In-batch negatives are those of the part."""
    optimiser: OptimiserSettings = OptimiserSettings()
    temperature: PositiveFloat = 0.02
    learn_temperature: bool = False
    both_directions: bool = False
    """In the batch: also from target to query, averaged."""
    hard_negatives: Annotated[int, Field(ge=0)] = 0
    """In the batch: so many of each triplet's hard negatives are further negatives of the whole batch."""
    mask_duplicates: bool = False
    """In the batch: a target that is this query's own target, too, or one of its other positives, is no negative."""
    bank: BankSettings = BankSettings()
    mode: Literal["eval", "train"] = "eval"
    """`train`: with dropout, as the paper has it for BLIP-2."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    checkpoint_activations: bool = False
    """Trade time for memory: forget activations, compute them again (gradient checkpointing)."""
    evaluate_every: PositiveInt | None = None
    """Steps between looks at the development set; without it once an epoch."""
    select: Literal["last", "best"] = "last"
    """Which step's weights count: the last, or the best of the development set."""

    @model_validator(mode="after")
    def _length(self) -> StageSettings:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self

    @model_validator(mode="after")
    def _loss_of(self) -> StageSettings:
        if self.loss == "in_batch":
            if self.bank != BankSettings():
                raise ValueError("bank settings need loss: bank; the in-batch loss has none")
            return self
        if self.trains == "all":
            raise ValueError("a static bank is exact only with a frozen target side; set trains: query")
        if self.both_directions or self.hard_negatives or self.mask_duplicates:
            raise ValueError(
                "both_directions, hard_negatives and mask_duplicates are of the in-batch loss; the bank has every "
                "image as a negative, and masks of its own"
            )
        return self
