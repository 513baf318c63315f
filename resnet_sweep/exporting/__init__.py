"""Trained nets as ONNX and torch.export files."""
