"""How a backbone gets features worth having: one training loop, one loss or augmentation per file, recipes."""
