"""Whole networks on virtual time: the real relay and real clients, every fault that we know of, and
a checker of the promises. A seed decides everything, so a seed that fails can be replayed.

    make simulate SEEDS=10000
    python -m tests.simulation --seed 4711 --trace
"""
