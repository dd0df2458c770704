"""What every head of the table does, and what `create` refuses."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.gradients import value_and_grad
from tf_facenet import heads

C, D, B = 7, 5, 6
rng = np.random.default_rng(0)
FEATURES = rng.standard_normal((B, D)).astype("float32")
LABELS = np.array([0, 6, 3, 3, 1, 6], "int32")


def create(name, **options):
    head = heads.create(name, C, D, **options)
    if name != "softmax":
        head.centers.assign(np.random.default_rng(1).standard_normal(head.centers.shape))
    return head


def loss_of(head, training=False):
    def loss(features):
        logits, targets = head(features, LABELS, training=training)
        return ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))

    return loss


def test_softmax_is_a_linear_layer():
    head = heads.create("softmax", num_classes=4, embedding_size=3)
    kernel, bias = np.arange(12.0).reshape(3, 4), np.arange(4.0)
    head.set_weights([kernel, bias])
    features, labels = np.array([[1.0, 0, 2], [0, 1, 0]], "float32"), np.array([3, 0])
    logits, targets = head(features, labels)
    np.testing.assert_allclose(ops.convert_to_numpy(logits), features @ kernel + bias)
    np.testing.assert_array_equal(ops.convert_to_numpy(targets), labels)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", sorted(heads.HEADS))
def test_logits_are_float32_under_any_policy(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        head = create(name)
        logits, targets = head(FEATURES.astype("float16"), LABELS, training=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.shape == (B, C)
    assert targets.shape == (B,)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert all(keras.backend.standardize_dtype(v.dtype) == "float32" for v in head.variables)


@pytest.mark.parametrize("name", sorted(heads.HEADS))
def test_configuration_makes_the_same_head(name):
    head = create(name)
    copy = type(head).from_config(head.get_config())
    assert copy.get_config() == head.get_config()
    copy.build((None, D))
    copy.set_weights(head.get_weights())
    np.testing.assert_array_equal(ops.convert_to_numpy(copy(FEATURES, LABELS)[0]),
                                  ops.convert_to_numpy(head(FEATURES, LABELS)[0]))


@pytest.mark.parametrize("name", sorted(heads.HEADS))
def test_compiled_is_the_same(name):
    head = create(name)
    value, (gradient,) = value_and_grad(loss_of(head), FEATURES)
    value_xla, (gradient_xla,) = value_and_grad(loss_of(head), FEATURES, compiled=True)
    assert value_xla == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(gradient_xla, gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", sorted(heads.HEADS))
def test_gradient_is_the_slope(name):
    """Central differences of the loss along a random direction."""
    head, step = create(name), 1e-2
    if name != "softmax":
        head.scale = 4.0
    direction = np.random.default_rng(2).standard_normal((B, D)).astype("float32")
    _, (gradient,) = value_and_grad(loss_of(head), FEATURES)
    ends = [float(loss_of(head)(FEATURES + sign * step * direction)) for sign in (1, -1)]
    assert np.sum(gradient * direction) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=2e-2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("name", ["softmax", "arcface"])
def test_label_smoothing_is_the_cross_entropy_of_softened_labels(name, smoothing):
    """−Σ_j q_j log p_j with q = (1 − ε) onehot + ε / C; validation has hard labels."""
    head = create(name, label_smoothing=smoothing)
    logits = ops.convert_to_numpy(head(FEATURES, LABELS)[0]).astype("float64")
    log_p = logits - np.log(np.sum(np.exp(logits - logits.max(1, keepdims=True)), 1, keepdims=True)) - logits.max(
        1, keepdims=True)
    for training, share in ((True, smoothing), (False, 0.0)):
        q = (1 - share) * np.eye(C)[LABELS] + share / C
        xent, _ = head.cross_entropy(FEATURES, LABELS, training=training)
        assert float(xent) == pytest.approx(np.mean(-np.sum(q * log_p, axis=1)), rel=1e-5)


@pytest.mark.parametrize(("options", "message"), [
    ({"label_smoothing": 1.0}, "label_smoothing is 1.0; expected 0"),
    ({"label_smoothing": -0.1}, "label_smoothing is -0.1; expected 0"),
    ({"label_smoothing": 0.1, "interclass_filtering_threshold": 0.4, "interclass_filtering": "exclude"},
     "label_smoothing gives every class a share, and interclass_filtering excludes some")])
def test_label_smoothing_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        heads.check("arcface", **options)


@pytest.mark.parametrize("name", sorted(heads.MARGINS))
def test_a_margin_warms_up(name):
    """Targets go from cos θ to what the margin makes of them; a copy goes on where its weights are."""
    plain, warming = create(name), create(name, margin_warmup_steps=4)
    rows = np.arange(B)
    for step in range(6):
        if step == 2:
            weights = warming.get_weights()
            warming = create(name, margin_warmup_steps=4)
            warming.set_weights(weights)
        target, new = (ops.convert_to_numpy(head(FEATURES, LABELS, training=True)[0])[rows, LABELS] for head in (
            plain, warming))
        cosine = 64 * ops.convert_to_numpy(plain.scores(FEATURES, LABELS)[0])[rows, LABELS]
        np.testing.assert_allclose(new, cosine + min(step / 4, 1) * (target - cosine), rtol=1e-4, atol=1e-3)


AT_THE_ENDS = {
    "zero vector": np.zeros(D), "on the centre": np.eye(D)[0], "opposite": -np.eye(D)[0],
    "huge": 1e15 * np.eye(D)[0], "tiny": 1e-20 * np.ones(D)}


@pytest.mark.parametrize("feature", AT_THE_ENDS.values(), ids=AT_THE_ENDS)
@pytest.mark.parametrize("name", sorted(heads.MARGINS))
def test_values_and_gradients_are_finite_at_the_ends(name, feature):
    head = create(name)
    head.centers.assign(np.eye(C, D))  # two centres are zero vectors themselves
    labels = np.zeros(2, "int32")

    def loss(features):
        logits, targets = head(features, labels, training=True)
        xent = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        return ops.mean(xent) + head.penalty(features)

    value, (gradient,) = value_and_grad(loss, np.stack([feature, feature]).astype("float32"))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", sorted(heads.MARGINS))
def test_only_training_moves_the_state(name):
    head = create(name, **({"annealing": True} if name == "sphereface" else {}))

    def state():
        return [float(ops.convert_to_numpy(v)) for v in head.margin.non_trainable_variables]

    before = state()
    head(FEATURES, LABELS)
    assert state() == before
    head(FEATURES, LABELS, training=True)
    assert not before or state() != before


@pytest.mark.parametrize(("name", "options", "message"), [
    ("arcfase", {}, r"Unknown head 'arcfase'. Choose one of: .*arcface.*softmax"),
    ("softmax", {"scale": 64.0}, "Head 'softmax' takes no 'scale'; it takes label_smoothing"),
    ("cosface", {"m1": 2.0}, "Head 'cosface' takes no 'm1'; it takes .*margin"),
    ("softmax", {"margin_warmup_steps": 9}, "Head 'softmax' takes no 'margin_warmup_steps'"),
    ("cosface", {"margin_warmup_steps": -9}, "margin_warmup_steps is -9; expected 0"),
    ("arcface", {"margin": -0.1}, "margin is -0.1; expected 0 to 1.5708"),
    ("arcface", {"margin": 28.6}, "margin is 28.6; expected 0 to 1.5708"),
    ("cosface", {"margin": 1.5}, "margin is 1.5; expected 0 to 1"),
    ("sphereface", {"margin": 0.5}, "margin is 0.5; expected 1 to 10"),
    ("adaface", {"h": -1.0}, "h is -1.0; expected 0 to 10"),
    ("magface", {"l_a": 200.0}, "l_a is 200.0; expected 0.001 to 109.999"),
    ("combined", {"m1": 1.0, "m2": -0.2}, "m1 = 1.0, m2 = -0.2, m3 = 0.0 make the target larger than cos θ"),
    ("combined", {"m1": 0.8, "m2": 0.0}, "make the target larger"),
    ("arcface", {"scale": 0.0}, "scale is 0.0; expected above 0"),
    ("arcface", {"scale": float("nan")}, "scale is nan; expected above 0"),
    ("arcface", {"sub_centers": 0}, "sub_centers is 0; expected at least 1"),
    ("arcface", {"sample_rate": 0.0}, "sample_rate is 0.0; expected above 0 up to 1"),
    ("arcface", {"sample_rate": 1.5}, "sample_rate is 1.5; expected above 0 up to 1"),
    ("arcface", {"interclass_filtering_threshold": -1.0}, "expected 0 [(]off[)] to 1"),
    ("arcface", {"interclass_filtering": "drop"}, "Unknown interclass_filtering 'drop'"),
    ("arcface", {"gradient": "fast"}, "gradient is 'fast'; expected one of: exact, straight_through"),
    ("arcface", {"past_pi": "bounce"}, "Unknown past_pi 'bounce'"),
])
def test_mistakes_have_clear_messages(name, options, message):
    with pytest.raises(ValueError, match=message):
        heads.check(name, **options)


def test_automatic_scale_needs_three_classes():
    assert heads.create("arcface", 10_575, 4, scale="auto").scale == pytest.approx(13.1, abs=0.05)
    with pytest.raises(ValueError, match="'auto' needs at least 3 classes"):
        heads.create("arcface", 2, 4, scale="auto")
