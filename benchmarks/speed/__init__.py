"""How fast Offnormal answers, beside other model servers on the same machine: docs/benchmarks.md.

    python -m benchmarks.speed

`servers` says who is compared and how each is set up, `peers` holds their code and pinned versions, `models`
makes what all of them serve. `probes` is what is measured at a server, `visits` who is visited in a round,
and `cases` what is promised and whether it was met. `generator` makes the load, in a process of its own.
"""
