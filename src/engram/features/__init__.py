"""What a learner sees: inputs to feature vectors, and how a network gets features worth having."""
