"""The terminal: one thin file for each group of commands over the Python interface."""

from engram.cli.app import main as main
