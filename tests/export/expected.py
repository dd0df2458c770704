"""What an export must give, from the network itself in float64."""

import numpy as np

METADATA = {"backbone": "tiny", "class_names": ["Zoë"]}


def outputs(model, pixels):
    """(embeddings [B, D], norm [B])."""
    features = np.asarray(model(pixels.astype("float32"), training=False), "float64")
    norm = np.linalg.norm(features, axis=1)
    return features / norm[:, None], norm


def assert_equal(result, expected, atol=1e-5):
    assert sorted(set(result) - {"ok"}) == ["embeddings", "norm"]
    np.testing.assert_allclose(result["embeddings"], expected[0], atol=atol)
    np.testing.assert_allclose(result["norm"], expected[1], rtol=atol)
