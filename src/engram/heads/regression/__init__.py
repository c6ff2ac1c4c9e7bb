"""Numbers as answers: what the exact regressor is made of."""

from engram.heads.regression.regressor import Regressor
from engram.heads.regression.targets import Targets

__all__ = ["Regressor", "Targets"]
