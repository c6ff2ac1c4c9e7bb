"""Growing and pruning: one experiment per published table."""
