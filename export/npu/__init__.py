"""Hands an image trunk over to a vendor's compiler: one file of ONNX for one picture at a time, and quantized forms of
it. Needs onnx and onnxscript, neither torch nor open_clip."""
