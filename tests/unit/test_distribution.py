from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from artifactstore.distribution import Distribution


@given(st.lists(st.integers(-5, 15)))
def test_each_measurement_is_in_the_first_class_that_reaches_it(values: list[int]) -> None:
    distribution = Distribution((1, 5, 10))
    for value in values:
        distribution.add(value)
    below = [sum(value <= bound for value in values) for bound in distribution.bounds]
    assert [sum(distribution.counts[: end + 1]) for end in range(3)] == below
    assert sum(distribution.counts) == len(values)
    assert distribution.total == sum(values)
