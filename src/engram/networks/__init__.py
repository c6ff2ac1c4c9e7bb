"""Slow learners in PyTorch: networks that change shape, what they keep of the past, how they go on learning."""
