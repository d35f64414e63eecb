"""A gateway under mixed load for as long as one likes, killed and started again; then everything is checked.

`make soak MINUTES=5`, or a sample in the suite (`test_soak.py`).
"""
