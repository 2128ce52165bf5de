"""Devices of TensorFlow: one for each fit that runs at a time."""

from contextlib import suppress

import tensorflow as tf


def divide_processor() -> None:
    """Make two devices of the processor, each with a thread of its own, unless TensorFlow has begun to work.

    Steps of two fits on one device wait for each other.
    """
    (processor,) = tf.config.list_physical_devices("CPU")
    with suppress(RuntimeError):
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)


def devices() -> tuple[str, str]:
    """Names of the first device and of the second, which are the same where there is but one."""
    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    return names[0], names[-1]
