"""The HTTP surface: what comes in is understood, what goes out is written, and nothing is decided."""
