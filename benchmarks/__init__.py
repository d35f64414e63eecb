"""The benchmark suite: what this store does, beside what else could do it, on this machine. `make bench` runs it.

Each suite measures its contenders in turns within one run, so that whatever else the machine does hits all of them
alike, reports medians with quartiles, and asserts no time.
"""
