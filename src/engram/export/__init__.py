"""A learner's network, made to run elsewhere: ONNX and C."""
