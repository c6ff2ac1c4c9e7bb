"""Rules by which the arrays of a core are learned; each is apart from the core that it trains."""
