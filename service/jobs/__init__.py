"""Work that a request starts and that goes on after its answer: records of it, and its processes."""

from service.jobs.jobs import Jobs

__all__ = ["Jobs"]
