"""The deployed learner: backbone, head, inbox of unknowns, melding, forgetting, saving, proof."""

from engram.brain.auditing import Findings, Reason
from engram.brain.brain import Brain, meld
from engram.brain.changes import acting
from engram.brain.changes.meld import MeldReport
from engram.brain.inbox import Group
from engram.brain.multimodal import MultimodalBrain
from engram.heads.fast.conflicts import Conflict

__all__ = ["Brain", "Conflict", "Findings", "Group", "MeldReport", "MultimodalBrain", "Reason", "acting", "meld"]
