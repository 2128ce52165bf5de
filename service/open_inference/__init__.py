"""The Open Inference Protocol (v2) as this service speaks it, whether over HTTP or gRPC.

Tensors in become a `Task`, verdicts become tensors out; how either is written on the wire is no matter here.
"""
