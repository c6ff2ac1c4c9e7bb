"""Networks that change shape: masks, growth, pruning, and sparse execution."""
