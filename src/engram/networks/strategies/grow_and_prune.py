"""Incremental learning by growing and pruning (US 12,393,842 B2; growth and pruning after NeST, Dai, Yin, Jha 2019,
arXiv 1711.02017)."""

from __future__ import annotations

from engram.networks.strategies.kept import Kept
from engram.networks.strategies.pruning_schedules import require_room
from engram.networks.strategies.structural import Structural


class GrowAndPrune(Structural):
    """What is new comes first: the compact network grows where the new data ask for it, is trained on them, then on
    everything, and is pruned until it is compact again.

    With the default recipe, pruning is gradual, scores are scaled by activations, weights are averaged, and an update
    costs the same however many data there are; `recipe=PATENT` does it as published.

    >>> import numpy as np
    >>> learner = GrowAndPrune({"name": "perceptron", "inputs": [2], "hidden": [20]}, parameters=70, batch=4,
    ...                        recipe={"constant_budget": 6000}, held_out=0)
    >>> learner.learn([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], ["left", "left", "right", "right"])
    >>> learner.predict(np.eye(2)).labels, learner.masks.live <= 70
    (['left', 'right'], True)
    """

    def restructure(self, new: Kept, everything: Kept) -> None:
        """New data first."""
        require_room(self)
        for _ in range(self.recipe.growths):
            self.grow_connections(new)
            self.fit(new, self.recipe.new_epochs / self.recipe.growths, self.recipe.learning_rate)
        self.fit(everything, self.recipe.all_epochs, self.recipe.learning_rate)
        self.prune(everything)
