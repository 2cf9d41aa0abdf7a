"""Fuzzing: what a peer can send, in any order, against the modules that take it.

``python -m tests.fuzz --executions 1000000`` runs all targets, and tests/test_fuzz.py a few
thousand cases of each. A *case* is a list of steps; a *target* runs one, checks that nothing came
of it that must not, and returns its *outcome*: what was refused and why, without the details. A
case with an outcome that was not seen before is kept, and further ones are made of it. So what is
sent gets to states that chance alone would not find.

The cases of tests/corpus/ are replayed first. Beside those that JavaScript can run too stands what
came of them here, and tests/js/test_fuzz.mjs compares.
"""
