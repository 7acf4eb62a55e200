"""Checks the model of the protocol in docs/protocol/ with Spin: `python -m ops.model`.

1. `runs` says which runs there are and how each must end: the whole protocol without an error, and each ingredient left
   out with one. A model that passes whatever is left out of it would prove nothing.
2. `spin` generates, compiles and runs one verifier in a directory that is thrown away, and reads what it found.
3. `__main__` runs them, prints one line each, and ends with 1 when one ended otherwise than it must.
"""
