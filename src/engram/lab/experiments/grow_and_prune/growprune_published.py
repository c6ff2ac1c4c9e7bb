"""Published tables of growing and pruning (US 12,393,842 B2, FIGS. 10 and 11), as far as they can be read.

A cell that the printed page leaves uncertain is None here; where only a range is certain, its lower end stands, so that
nothing counts as beaten that may not be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Column = tuple[float | None, ...]
Table = Mapping[str, Mapping[str, Column]]

# method -> test error in %, parameters in thousands, epochs over the data of the step; ten steps, 10% to 100%.
LENET_300_100: Table = {
    "tfs": {
        "error": (2.27, 1.8, 1.66, 1.63, 1.58, 1.43, 1.41, 1.4, 1.4, 1.4),
        "parameters": (19.4, 22.7, 23.9, 20.5, 26.5, 27.8, 25.1, 29.3, 27.8, 31.3),
        "epochs": (141, 131, 136, 131, 135, 140, 139, 141, 134, 137),
    },
    "nft": {
        "error": (2.27, 1.84, 1.68, 1.62, 1.66, 1.51, 1.42, 1.42, 1.43, 1.41),
        "parameters": (19.4, 20.5, 21.5, 22.7, 23.9, 29.3, 26.5, 27.8, 30.9, 32.5),
        "epochs": (141, 136, 130, 124, 135, 109, 133, 127, 124, 131),
    },
    "nest": {
        "error": (2.19, 1.72, 1.62, 1.55, 1.57, 1.41, 1.37, 1.36, 1.36, 1.34),
        "parameters": (13.9, 17.1, 18.4, 19.7, 20.2, 26.8, 28.2, 25.3, 25.4, 23.6),
        "epochs": (166, 171, 153, 172, 158, 147, 167, 189, 174, 162),
    },
    "grow-and-prune": {
        "error": (2.19, 1.7, 1.6, 1.55, 1.39, 1.39, 1.35, 1.36, 1.33, 1.33),
        "parameters": (13.9, 17.6, 17.0, 13.8, 17.0, 26.5, 21.5, 17.7, 20.8, 21.7),
        "epochs": (166, 109, 93, 79, 82, None, 70, 66, 58, 49),
    },
}
LENET_5: Table = {
    "tfs": {
        "error": (1.62, 1.28, 1.01, 0.97, 0.95, 0.93, 0.9, 0.9, 0.88, 0.88),
        "parameters": (5.3, None, 6.5, 6.5, 7.2, 8.0, 8.0, None, 10.9, 10.3),
        "epochs": (148, 141, 136, 151, 135, 120, 129, 131, 124, 129),
    },
    "nft": {
        "error": (1.62, 1.3, 1.05, 0.99, 1.0, 0.97, 0.94, 0.9, 0.91, 0.9),
        "parameters": (5.3, None, 6.1, 6.8, 6.8, 7.6, 8.4, None, None, 10.2),
        "epochs": (148, 126, 118, 134, None, 119, None, 119, 127, 115),
    },
    "nest": {
        "error": (1.45, 1.22, 1.01, 0.93, 0.93, 0.89, 0.89, 0.88, 0.89, 0.84),
        "parameters": (4.9, None, 6.1, None, 6.3, 6.7, 6.9, 7.5, 8.2, None),
        "epochs": (162, 177, 187, 154, 161, 153, 168, None, 149, 161),
    },
    "grow-and-prune": {
        "error": (1.45, 1.23, 0.97, 0.92, 0.93, 0.9, 0.87, 0.87, 0.87, 0.83),
        "parameters": (4.9, None, 6.2, 5.9, 6.0, 7.5, 6.3, 7.7, None, 7.9),
        "epochs": (162, None, 92, None, 83, 69, None, 52, None, 43),
    },
}


def steps_beaten(steps: Sequence[Mapping[str, Any]], table: Table) -> tuple[int, float]:
    """In how many steps both error and parameters are no more than published, and by how many points the worst step's
    error is above the published one.

    Args:
        steps: what `run_chain` measured, ten of them.
        table: LENET_300_100 or LENET_5.

    >>> one = {"error": 1.0, "parameters": 5000}
    >>> steps_beaten([one] * 10, LENET_300_100)
    (10, -0.33)
    """
    published = table["grow-and-prune"]
    beaten, worst = 0, -float("inf")
    for step, error, thousands in zip(steps, published["error"], published["parameters"], strict=True):
        if error is None:
            continue
        smaller = thousands is None or step["parameters"] <= 1000 * thousands
        beaten += smaller and step["error"] <= error + 1e-9
        worst = max(worst, step["error"] - error)
    return beaten, round(worst, 6)
