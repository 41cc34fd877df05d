"""Texts in, labels out: one object that answers, files, ONNX."""
