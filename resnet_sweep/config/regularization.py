"""Schema of the `regularization` group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from resnet_sweep.config.errors import require, require_int, require_number, require_one_of

# Radii of the papers' CIFAR-10 experiments.
SAM_RHO = {"sam": 0.05, "asam": 0.5}


@dataclass
class RegularizationConfig:
    """What keeps the net from fitting the training images alone.

    Args:
        label_smoothing: share of the target that is spread evenly over all classes.
        weight_decay: as the optimizer means it: an L2 term, decoupled in adamw.
        dropout: between the two convolutions of a block (arXiv:1605.07146, section 2.4).
        stochastic_depth: probability of skipping the last block; earlier ones less, in
            proportion to their depth (arXiv:1603.09382, equation 4).
        clip_grad_norm: largest 2-norm of all gradients together; null: no clipping.
        ema_half_life_epochs: exponential moving average of the weights, which are then the
            ones that are evaluated and kept; null: none.
        swa_start: part of the run after which the weights at the end of each epoch are averaged
            equally (Izmailov et al. 2018, arXiv:1803.05407), batch statistics found anew; the
            mean is evaluated and kept; null: none.
        sam: `sam` (Foret et al. 2021, arXiv:2010.01412) or `asam` (Kwon et al. 2021,
            arXiv:2102.11600): step by the gradient at the worst weights nearby, on the same
            augmented batch; twice the passes. Dropout and stochastic depth draw anew in the
            second pass; null: neither.
        sam_rho: how far the worst weights may be; null: 0.05 for sam, 0.5 for asam.
        ghost_batch_size: batch normalisation over each so many images of a batch, in training
            (Hoffer et al. 2017, arXiv:1705.08741); null: over the whole batch.
        distill_from: folder of a completed run, whose net teaches this one (Hinton et al. 2015,
            arXiv:1503.02531), on the same augmented images; null: no teacher.
        distill_from_digest: of that folder's net, as records have it: another net is refused;
            null: whichever net is there.
        distill_weight: share of the teacher's part in the loss.
        distill_temperature: T, by which all logits are divided in that part.
    """

    name: str = "standard"
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    clip_grad_norm: Optional[float] = None
    ema_half_life_epochs: Optional[float] = None
    swa_start: Optional[float] = None
    sam: Optional[str] = None
    sam_rho: Optional[float] = None
    ghost_batch_size: Optional[int] = None
    distill_from: Optional[str] = None
    distill_from_digest: Optional[str] = None
    distill_weight: float = 0.9
    distill_temperature: float = 4.0

    def __post_init__(self) -> None:
        require_number("regularization.weight_decay", self.weight_decay, 0)
        for name in ("label_smoothing", "dropout", "stochastic_depth"):
            require_number(f"regularization.{name}", getattr(self, name), 0, 1, open_high=True)
        for name in ("clip_grad_norm", "ema_half_life_epochs", "sam_rho"):
            value = getattr(self, name)
            require_number(f"regularization.{name}", value, 0, open_low=True, or_null=True)
        if self.swa_start is not None:
            require_number("regularization.swa_start", self.swa_start, 0, 1, open_high=True)
            allowed = "takes the place of regularization.ema_half_life_epochs: set that to null"
            alone = self.ema_half_life_epochs is None
            require(alone, "regularization.swa_start", self.swa_start, allowed)
        require_int("regularization.ghost_batch_size", self.ghost_batch_size, 2, or_null=True)
        field, digest = "regularization.distill_from_digest", self.distill_from_digest
        has_teacher = digest is None or self.distill_from is not None
        require(has_teacher, field, digest, "needs regularization.distill_from")
        require_number("regularization.distill_weight", self.distill_weight, 0, 1)
        field = "regularization.distill_temperature"
        require_number(field, self.distill_temperature, 0, open_low=True)
        require_one_of("regularization.sam", self.sam, tuple(SAM_RHO), or_null=True)
        allowed = "needs regularization.sam=sam or regularization.sam=asam"
        ok = self.sam is not None or self.sam_rho is None
        require(ok, "regularization.sam_rho", self.sam_rho, allowed)

    def sam_radius(self) -> Optional[float]:
        """Return rho; None where SAM is off."""
        if self.sam is None:
            return None
        return SAM_RHO[self.sam] if self.sam_rho is None else self.sam_rho
