"""Engram: software that keeps learning after it is deployed."""
