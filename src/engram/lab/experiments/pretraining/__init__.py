"""Backbones: how good the features of each way of pre-training are."""
