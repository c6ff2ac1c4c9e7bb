"""Strategies of slow networks on split data sets."""
