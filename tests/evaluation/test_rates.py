"""What so many pairs can say of a false accept rate, by the definitions."""

import pytest

from tf_facenet.evaluation import rates


@pytest.mark.parametrize(("accepted", "pairs", "interval"), [
    (0, 10, (0, 0.2775)), (1, 10, (0.0179, 0.4042)), (5, 10, (0.2366, 0.7634)), (10, 10, (0.7225, 1)),
    (0, 3000, (0, 0.00128)), (3, 3000, (0.00034, 0.00294))])
def test_interval_is_wilsons(accepted, pairs, interval):
    """Its ends p are where a normal test with the standard deviation of p itself just accepts what was counted."""
    counted = accepted / pairs
    for end in interval:
        if end not in (0, 1):
            assert abs(counted - end) == pytest.approx(1.96 * (end * (1 - end) / pairs) ** 0.5, rel=0.01)
    assert rates.FalseAccepts(accepted, pairs).interval == pytest.approx(interval, abs=5e-5)


@pytest.mark.parametrize(("pairs", "shown", "hidden", "smallest"), [
    (16, 0.0625, 0.0624, 0.0625), (3000, 0.001, 0.0003, 0.000334), (300, 0.00334, 0.001, 0.00334),
    (7, 1 / 7, 0.1428, 0.143), (49, 1 / 49, 0.02, 0.0205), (1000000, 1e-6, 9e-7, 1e-6), (2, 0.5, 0, 0.5)])
def test_smallest_rate_that_pairs_can_show(pairs, shown, hidden, smallest):
    assert rates.can_show(pairs, shown)
    assert not rates.can_show(pairs, hidden)
    assert rates.smallest_far(pairs) == smallest
    assert rates.can_show(pairs, smallest)


def test_said():
    assert str(rates.FalseAccepts(2, 40)) == (
        "2 of 40 pairs of different people, a rate of 0.05 (95 % interval 0.014 to 0.17)")
