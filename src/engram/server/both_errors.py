"""How much of what a brain knows may be refused, and both errors to be expected, as it is answered."""

from __future__ import annotations

from engram.brain import Brain
from engram.brain.both_errors import as_json, needed
from engram.heads.fast.novelty import ALPHAS
from engram.server.schemas import Alpha, Errors, LabelAlpha


def alpha_of(brain: Brain) -> Alpha:
    """The present setting, and the curve."""
    own = [LabelAlpha(label=label, alpha=share) for label, share in brain.alphas.items()]
    found = [Errors.model_validate(as_json(rates)) for rates in brain.error_rates([brain.alpha, *ALPHAS])]
    return Alpha(alpha=brain.alpha, alphas=own, now=found[0] if found else None, curve=found[1:],
                 accepted_needs=None if brain.sees_places else needed(len(brain.labels)), seq=brain.seq)
