"""From torch to one ONNX file that needs no Python, and the proof that both agree."""
