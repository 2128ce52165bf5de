"""From recordings to a published model. The only package that needs TensorFlow."""

import os

# TensorFlow's native notes would run through the progress bar; its errors are raised all the same.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
