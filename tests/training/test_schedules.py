import numpy as np
import pytest

from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import schedules


def rates(steps, epoch_size=10, **options):
    plan = schedules.plan(SoftmaxOptions(epoch_size=epoch_size, **options), num_images=0)
    return [float(plan.learning_rate(step)) for step in steps]


def test_staircase_is_facenets():
    """rate = base · factor^⌊step / (decay_epochs · epoch_size)⌋."""
    got = rates([0, 19, 20, 59], learning_rate=0.1, learning_rate_decay_epochs=2,
                learning_rate_decay_factor=0.5)
    np.testing.assert_allclose(got, [0.1, 0.1, 0.05, 0.025], rtol=1e-6)


@pytest.mark.parametrize(("name", "expected", "epochs"), [
    ("casia", {1: .05, 59: .05, 60: .005, 80: .0005, 90: .0005}, 90),
    ("vggface2", {1: .05, 100: .005, 200: .0005, 275: .0005}, 275),
    ("msceleb", {1: .1, 150: .01, 180: .001, 251: .0001, 400: .0001}, 500),
    ("retrain_tripletloss", {1: .1, 300: .01, 400: .001, 500: .001}, 500)])
def test_files_that_come_with_the_package(name, expected, epochs):
    plan = schedules.plan(SoftmaxOptions(
        epoch_size=7, learning_rate=-1, learning_rate_schedule_file=name), num_images=0)
    assert (plan.epochs, plan.steps) == (epochs, 7 * epochs)
    for epoch, rate in expected.items():
        for step in ((epoch - 1) * 7, epoch * 7 - 1):
            assert float(plan.learning_rate(step)) == pytest.approx(rate, rel=1e-6)


def test_last_line_holds_for_ever_and_dash_stops(tmp_path):
    path = tmp_path / "rates.txt"
    path.write_text("# comment\n0: 0.1\n\n3: 0.01  # drop\n")
    assert schedules.read_schedule(path) == ([0, 3], [0.1, 0.01], None)
    path.write_text("0: 0.1\n5: -\n")
    assert schedules.read_schedule(path) == ([0], [0.1], 5)
    path.write_text("0: 0.1\n5: -1\n")
    assert schedules.read_schedule(path) == ([0], [0.1], 5)


@pytest.mark.parametrize(("text", "message"), [
    ("0: 0.1\nabc\n", "line 2: expected 'epoch: rate', got 'abc'"),
    ("0: 0.1\n5: fast\n", "line 2: expected 'epoch: rate', got '5: fast'"),
    ("5: 0.1\n3: 0.2\n", "line 2: epoch 3 does not come after 5"),
    ("0: nan\n", "line 1: the rate '0: nan' is not finite"),
    ("# nothing\n", "holds no rate")])
def test_malformed_file(tmp_path, text, message):
    path = tmp_path / "rates.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        schedules.read_schedule(path)


def test_unknown_file_names_the_packaged_ones():
    with pytest.raises(OSError, match="casia, msceleb, retrain_tripletloss, vggface2"):
        schedules.read_schedule("cassia")


def test_warm_up_starts_at_one_share():
    got = rates([0, 1, 9, 19, 20, 30], learning_rate=1.0, warmup_epochs=2.0)
    np.testing.assert_allclose(got, [0.05, 0.1, 0.5, 1.0, 1.0, 1.0], rtol=1e-6)


@pytest.mark.parametrize(("decay", "halfway"), [("polynomial", 0.5), ("cosine", 0.5)])
def test_decays_reach_zero_at_the_end(decay, halfway):
    got = rates([0, 20, 40], learning_rate=1.0, max_nrof_epochs=4, learning_rate_decay=decay)
    np.testing.assert_allclose(got, [1.0, halfway, 0.0], atol=1e-6)
    quarter, = rates([10], learning_rate=1.0, max_nrof_epochs=4, learning_rate_decay=decay)
    assert quarter == pytest.approx(0.75 if decay == "polynomial" else
                                    0.5 * (1 + np.cos(np.pi / 4)))


def test_an_epoch_of_all_images():
    plan = schedules.plan(SoftmaxOptions(epoch_size=0, batch_size=10), num_images=57)
    assert plan.epoch_size == 5


def test_a_file_that_stops_at_once(tmp_path):
    path = tmp_path / "rates.txt"
    path.write_text("0: 0.1\n1: -\n")
    with pytest.raises(ValueError, match="stops at epoch 1; the first epoch is 1"):
        rates([0], learning_rate=0, learning_rate_schedule_file=str(path))


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "rates.txt").write_bytes(b"0: 0.1\n\xff\xfe\n")
    with pytest.raises(ValueError, match="rates.txt', line 2: expected 'epoch: rate'"):
        schedules.read_schedule(str(tmp_path / "rates.txt"))
