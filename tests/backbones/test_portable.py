"""Each backbone on JAX: the shape of its features, and a gradient for every weight; one with numbers.

On TensorFlow test_contract.py asks for more. Compiling all networks for JAX would take minutes, so they are traced
only, without a single number: that finds whatever is TensorFlow's own, and weights that a gradient does not reach.
"""

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as numpy

from tests.backbones.test_contract import IMAGENET, SHALLOW, SIZES
from tf_facenet import backbones

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="for JAX")
SMALLEST = {"mbf": 16, "swin_t": 64, **{name: 16 for name in backbones.BACKBONES if name.startswith("iresnet")}}


def side(name):
    return SMALLEST.get(name, SIZES.get(name, IMAGENET)[1])


@pytest.fixture
def no_values():
    """Variables are made, but get no values."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.utils.clear_session()  # forgets that they would like some


@pytest.mark.parametrize("name", list(backbones.BACKBONES))
@pytest.mark.usefixtures("no_values")
def test_traced(name):
    import jax

    model = backbones.create(name, side(name), 8, **SHALLOW.get(name, {}))

    def loss(weights, states, pixels):
        features, _ = model.stateless_call(weights, states, pixels, training=True)
        assert (features.shape, features.dtype) == ((2, 8), "float32")
        return keras.ops.mean(keras.ops.square(features))

    weights, states = ([jax.ShapeDtypeStruct(variable.shape, variable.dtype) for variable in variables]
                       for variables in (model.trainable_variables, model.non_trainable_variables))
    pixels = jax.ShapeDtypeStruct((2, side(name), side(name), 3), "uint8")
    program = jax.make_jaxpr(jax.grad(loss))(weights, states, pixels)
    reached = {id(program.jaxpr.invars[-1])}  # by the pixels
    for step in program.eqns:
        if any(id(value) in reached for value in step.invars):
            reached.update(map(id, step.outvars))
    lost = [weight.path for weight, gradient in zip(model.trainable_weights, program.jaxpr.outvars, strict=True)
            if id(gradient) not in reached]
    assert not lost
    assert len(weights) > 10


def test_computed():
    import jax

    keras.utils.set_random_seed(0)
    model = backbones.create("small", 32, 8)
    pixels = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)
    weights, states = ([variable.value for variable in variables]
                       for variables in (model.trainable_variables, model.non_trainable_variables))
    features, gradients = jax.jit(jax.value_and_grad(lambda weights: keras.ops.sum(
        model.stateless_call(weights, states, pixels, training=False)[0] ** 2)))(weights)
    np.testing.assert_allclose(features, np.sum(numpy(model(pixels)) ** 2), rtol=1e-4)
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert np.isfinite(gradient).all(), weight.path
        assert np.abs(gradient).max() > 0, weight.path
