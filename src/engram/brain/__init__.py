"""The deployed learner: backbone, head, inbox of unknowns, melding, forgetting, saving, proof."""

from engram.brain.acting import acting
from engram.brain.auditing import Findings, Reason
from engram.brain.brain import Brain, meld
from engram.brain.conflicts import Conflict
from engram.brain.melding import MeldReport
from engram.brain.unknowns import Group

__all__ = ["Brain", "Conflict", "Findings", "Group", "MeldReport", "Reason", "acting", "meld"]
