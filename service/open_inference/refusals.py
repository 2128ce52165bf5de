"""How an error is told where there is room for one sentence."""

from service.http.wire import Problem


def sentence(problem: Problem) -> str:
    """What is wrong, where, and what was expected."""
    told = problem.detail
    if problem.place and problem.place not in told:
        told = f"{problem.place}: {told}"
    return f"{told}; expected: {problem.expected}" if problem.expected else told
