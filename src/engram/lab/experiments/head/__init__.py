"""The fast head: one experiment per published table."""
