"""Network fine-tuning: the last network, all of its connections alive again, is trained on and pruned."""

from __future__ import annotations

import torch

from engram.networks.strategies.kept import Kept
from engram.networks.strategies.pruning_schedules import require_room
from engram.networks.strategies.structural import Structural


class NetworkFineTuning(Structural):
    """The second baseline of US 12,393,842 B2 ("NFT"): it starts from what is known, but opens every connection."""

    def restructure(self, new: Kept, everything: Kept) -> None:
        """Everything alive, what was dormant from zero."""
        for name, mask in self.masks.items():
            self.masks[name] = torch.ones_like(mask)
        require_room(self)
        self.fit(everything, self.recipe.new_epochs + self.recipe.all_epochs, self.recipe.learning_rate)
        self.prune(everything)
