from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.errors import QuotaExceededError
from artifactstore.domain.usage import Quota, Usage

SIZES = st.integers(0, 20)
QUOTAS = st.builds(Quota, st.none() | st.integers(0, 5), st.none() | SIZES)


@given(QUOTAS, st.lists(SIZES, max_size=10))
def test_what_is_let_in_one_by_one_never_exceeds_the_quota_and_nothing_that_fits_is_refused(
    quota: Quota, sizes: list[int]
) -> None:
    used = Usage("a")
    for size in sizes:
        after = Usage("a", used.objects + 1, used.size_bytes + size)
        fits = (quota.objects is None or after.objects <= quota.objects) and (
            quota.size_bytes is None or after.size_bytes <= quota.size_bytes
        )
        try:
            quota.check(used, size)
        except QuotaExceededError:
            assert not fits
        else:
            assert fits
            used = after


@given(st.builds(Usage, st.just("a"), st.integers(0, 9), SIZES), SIZES)
def test_no_quota_is_no_limit(used: Usage, size: int) -> None:
    Quota().check(used, size)


def test_a_refusal_says_how_much_is_left() -> None:
    with pytest.raises(QuotaExceededError, match=r"namespace a may hold 10 bytes: 3 are left, 4 are wanted"):
        Quota(size_bytes=10).check(Usage("a", 1, 7), 4)
    with pytest.raises(QuotaExceededError, match=r"10 bytes: 0 are left"):
        Quota(size_bytes=10).check(Usage("a", 1, 17), 1)  # the quota was made smaller
    with pytest.raises(QuotaExceededError, match=r"namespace a holds the 2 objects that it may"):
        Quota(objects=2).check(Usage("a", 2, 7), 0)
