"""What keeps a benchmark from running."""


class BenchError(Exception):
    """The benchmark could not run."""

    exit_code = 3


class Busy(BenchError):
    """Another benchmark runs on this server, with the same databases."""

    exit_code = 4
