"""Training from scratch: with every arrival a new dense network, trained on everything and pruned (Han et al. 2015,
arXiv 1506.02626)."""

from __future__ import annotations

from engram.networks.strategies.kept import Kept
from engram.networks.strategies.pruning_schedules import require_room
from engram.networks.strategies.structural import Structural


class TrainFromScratch(Structural):
    """Forget the network, keep the data: what growing and pruning is measured against ("TFS")."""

    def restructure(self, new: Kept, everything: Kept) -> None:
        """Fresh weights, all connections alive."""
        self.begin_anew()
        require_room(self)
        self.fit(everything, self.recipe.new_epochs + self.recipe.all_epochs, self.recipe.learning_rate)
        self.prune(everything)
