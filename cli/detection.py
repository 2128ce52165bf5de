"""Moved to evaluation/detection.py, which training uses too. Edit there; this file is about to be removed."""

from evaluation.detection import *  # noqa: F403
