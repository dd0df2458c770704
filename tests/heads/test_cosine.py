"""The cosine head: sub-centres, filtering and class sampling, each against NumPy and together."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.gradients import value_and_grad
from tf_facenet import heads

C, D, B = 12, 6, 8


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((B, D)).astype("float32"), rng.integers(0, C, B).astype("int32")


def create(seed=1, **options):
    head = heads.create("cosface", C, D, **{"margin": 0.2, "scale": 8.0, **options})
    head.centers.assign(np.random.default_rng(seed).standard_normal(head.centers.shape))
    return head


def cosines(features, centers):
    """Cosines [B, C·K], in NumPy."""
    return (features / np.linalg.norm(features, axis=1, keepdims=True)
            @ (centers / np.linalg.norm(centers, axis=1, keepdims=True)).T)


def numpy(x):
    return ops.convert_to_numpy(x)


def test_the_nearest_sub_centre_counts():
    head, (features, labels) = create(sub_centers=3), inputs()
    centers = numpy(head.centers)
    assert centers.shape == (C * 3, D)
    expected = np.array([[max(row[3 * c:3 * c + 3]) for c in range(C)] for row in cosines(features, centers)])
    expected[np.arange(B), labels] -= 0.2
    np.testing.assert_allclose(numpy(head(features, labels)[0]), 8 * expected, rtol=1e-4, atol=1e-5)


def test_equal_sub_centres_are_one_centre():
    one, three, (features, labels) = create(), create(sub_centers=3), inputs()
    three.centers.assign(np.repeat(numpy(one.centers), 3, axis=0))
    np.testing.assert_allclose(numpy(three(features, labels)[0]), numpy(one(features, labels)[0]), atol=1e-5)


@pytest.mark.parametrize(("how", "value"), [("zero", 0.0), ("exclude", -1e30)])
def test_filtering_takes_near_wrong_classes_away(how, value):
    options = {"interclass_filtering_threshold": 0.3, "interclass_filtering": how}
    head, plain, (features, labels) = create(**options), create(), inputs()
    expected, near = numpy(plain(features, labels)[0]).copy(), cosines(features, numpy(plain.centers)) > 0.3
    assert near[np.arange(B), labels].any()  # a near target stays
    near[np.arange(B), labels] = False
    assert 5 < near.sum() < B * C / 2
    expected[near] = value
    np.testing.assert_allclose(numpy(head(features, labels)[0]), expected, rtol=1e-4, atol=1e-5)


def test_an_excluded_class_has_no_probability_and_no_gradient():
    head = create(interclass_filtering_threshold=0.3, interclass_filtering="exclude")
    head.centers.assign(np.eye(C, D))
    feature, label = np.array([[1, 1, 0, 0, 0, 0]], "float32"), np.array([0], "int32")

    def loss(centers):
        with keras.StatelessScope(state_mapping=[(head.centers, centers)]):
            logits, targets = head(feature, label)
        return ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))

    value, (gradient,) = value_and_grad(loss, numpy(head.centers))
    target = 8 * (np.sqrt(0.5) - 0.2)
    assert value == pytest.approx(np.log(np.exp(target) + C - 2) - target, rel=1e-5)
    assert not gradient[1].any()
    assert gradient[0].any()


def sample(head, labels):
    """What `training.sampling` does before a step."""
    classes = head.draw(labels)
    head.sampled_classes.assign(classes)
    head.sampled_centers.assign(ops.take(head.centers, head.rows(classes), axis=0))
    return numpy(classes)


@pytest.mark.parametrize("sub_centers", [1, 2])
def test_a_step_sees_the_sampled_columns(sub_centers):
    head, (features, labels) = create(sample_rate=0.75, sub_centers=sub_centers), inputs()
    classes = sample(head, labels)
    whole, _ = head(features, labels)
    part, targets = head(features, labels, training=True)
    np.testing.assert_array_equal(classes[numpy(targets)], labels)
    np.testing.assert_allclose(numpy(part), numpy(whole)[:, classes], atol=1e-5)


def test_a_sample_of_all_classes_is_the_plain_head():
    head, plain, (features, labels) = create(sample_rate=0.99), create(), inputs()
    assert head.num_sampled == C
    sample(head, labels)
    logits, targets = head(features, labels, training=True)
    np.testing.assert_array_equal(numpy(targets), labels)
    np.testing.assert_allclose(numpy(logits), numpy(plain(features, labels)[0]), atol=1e-6)


def test_draws_hold_the_labels_and_are_sorted_and_different():
    head, (_, labels) = create(sample_rate=0.75), inputs()
    first, second = numpy(head.draw(labels)), numpy(head.draw(labels))
    for classes in (first, second):
        assert set(labels) <= set(classes)
        assert (np.diff(classes) > 0).all()
        assert len(classes) == 9
    assert first.tolist() != second.tolist()


def test_other_classes_are_drawn_uniformly():
    """Of 20 classes 2 are labels; each of the other 18 fills one of 8 places in 8/18 of the draws."""
    head, draws = heads.create("cosface", 20, 2, sample_rate=0.5), 600
    counts = sum(np.bincount(numpy(head.draw(np.array([3, 7, 3], "int32"))), minlength=20) for _ in range(draws))
    assert counts[[3, 7]].tolist() == [draws, draws]
    others = np.delete(counts, [3, 7])
    expected = draws * 8 / 18
    chi_square = np.sum((others - expected) ** 2 / expected) / (1 - 8 / 18)
    assert chi_square < 40.8  # 17 degrees of freedom, p = 0.001


def test_draws_follow_the_seed_and_go_on_after_a_restore():
    one, other = create(sample_rate=0.75, seed=5), create(sample_rate=0.75, seed=5)
    (_, labels) = inputs()
    for _ in range(3):
        np.testing.assert_array_equal(numpy(one.draw(labels)), numpy(other.draw(labels)))
    state = [numpy(variable) for variable in one.variables]
    expected = numpy(one.draw(labels)).tolist()
    restored = create(sample_rate=0.75, seed=99)
    for variable, value in zip(restored.variables, state, strict=True):
        variable.assign(value)
    assert numpy(restored.draw(labels)).tolist() == expected


def test_a_compiled_step_on_a_sample_is_the_same():
    head, (features, labels) = create(sample_rate=0.75, sub_centers=2), inputs()
    sample(head, labels)

    def loss(features):
        logits, targets = head(features, labels, training=True)
        return ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))

    value, (gradient,) = value_and_grad(loss, features)
    compiled, (compiled_gradient,) = value_and_grad(loss, features, compiled=True)
    assert compiled == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(compiled_gradient, gradient, atol=1e-5)


def test_a_batch_must_fit_into_the_sample():
    with pytest.raises(ValueError, match="sample_rate 0.5 of 12 classes is 6; a batch of 8 may hold more. Raise"):
        create(sample_rate=0.5).draw(inputs()[1])
