"""How well Offnormal detects: every figure of docs/quality.md, measured anew.

    python -m benchmarks.quality DATA

`protocol` says what a measurement is, one module for each data set how it is made; `results` keeps each in a
file of its own; `sections` makes tables of them and `plots` pictures, `page` puts these into docs/quality.md.
"""
