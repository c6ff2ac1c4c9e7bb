"""Recipes that are tied to a data set: how the shipped backbones were trained."""
