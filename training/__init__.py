"""From recordings to a published model. The only package that needs TensorFlow."""

import os

# TensorFlow's native notes would run through the progress bar; its errors are raised all the same.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A step of the network is too small to be divided: two threads take longer for it than one, and its sums
# would depend on the number of cores. Each device has a thread of its own (training/devices.py).
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_OVERRIDE_GLOBAL_THREADPOOL", "1")
