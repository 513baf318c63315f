"""Trackers: where a run is shown besides its folder.

metrics.csv is the truth. A tracker is given all of its epochs, again and again, and takes what it
lacks; one that fails is asked again later, and the training goes on. Each is imported only where it
is chosen. Free of torch, but for TensorBoard's writer.
"""
