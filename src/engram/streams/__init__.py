"""Data sets, and the orders in which their examples arrive."""
