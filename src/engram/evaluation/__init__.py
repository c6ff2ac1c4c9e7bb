"""Learner x stream -> accuracy, curves, confusion, recognition of the unknown; plots in one style."""

from engram.evaluation.intervals import Interval, interval
from engram.evaluation.learning_curve import LearningCurve, learning_curve
from engram.evaluation.measures import (
    accuracy,
    auroc,
    confusion_matrix,
    precision,
    recall,
    share_accepted,
    share_refused,
    threshold_refusing,
)

__all__ = [
    "Interval",
    "LearningCurve",
    "accuracy",
    "auroc",
    "confusion_matrix",
    "interval",
    "learning_curve",
    "precision",
    "recall",
    "share_accepted",
    "share_refused",
    "threshold_refusing",
]
