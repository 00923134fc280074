"""How many examples the interpreter, which is slow, is given: --hypothesis-profile few or many."""

from hypothesis import settings

settings.register_profile("few", max_examples=3, deadline=None, derandomize=True)
settings.register_profile("many", max_examples=30, deadline=None)
