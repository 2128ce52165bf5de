"""Moved to evaluation/scoring.py, which training uses too. Edit there; this file is about to be removed."""

from evaluation.scoring import *  # noqa: F403
