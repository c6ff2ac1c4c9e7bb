"""Measuring: data sets and the orders in which they arrive, evaluation, and one experiment per published figure."""
