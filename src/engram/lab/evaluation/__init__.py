"""Learner x stream -> accuracy, curves, confusion, recognition of the unknown; plots in one style."""

from engram.lab.evaluation.comparison import Comparison, compare
from engram.lab.evaluation.evaluate import evaluate
from engram.lab.evaluation.intervals import Interval, interval
from engram.lab.evaluation.learning_curve import LearningCurve, learning_curve
from engram.lab.evaluation.measures import (
    accuracy,
    auroc,
    confusion_matrix,
    precision,
    recall,
    share_accepted,
    share_refused,
    threshold_refusing,
)
from engram.lab.evaluation.numbers import NumberReport, evaluate_numbers
from engram.lab.evaluation.report import Report

__all__ = [
    "Comparison",
    "Interval",
    "LearningCurve",
    "NumberReport",
    "Report",
    "accuracy",
    "auroc",
    "compare",
    "confusion_matrix",
    "evaluate",
    "evaluate_numbers",
    "interval",
    "learning_curve",
    "precision",
    "recall",
    "share_accepted",
    "share_refused",
    "threshold_refusing",
]
