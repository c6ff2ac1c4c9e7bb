"""Several labels for one input: what the exact multi-label head is made of."""

from engram.heads.multilabel.multi_label_head import MultiLabelHead

__all__ = ["MultiLabelHead"]
