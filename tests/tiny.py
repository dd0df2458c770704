"""A network that trains in seconds and has what tells training from inference: batch
normalisation and dropout. Only layers of Keras itself, with fixed names."""

import keras


def create(
    image_size, embedding_size, standardization="fixed", keep_probability=1.0, batch_norm=True
):
    """Pixels 0..255 [B, H, W, 3] -> features [B, D] float32; the signature of backbones.create."""
    if standardization != "fixed":
        raise ValueError(f"The tiny network has no {standardization!r} standardization.")
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    layers = keras.layers
    images = keras.Input((height, width, 3), name="pixels")
    x = layers.Rescaling(1 / 128, offset=-127.5 / 128, name="standardize")(images)
    for index, filters in enumerate((8, 16), 1):
        x = layers.Conv2D(filters, 3, 2, "same", use_bias=False, name=f"conv{index}")(x)
        if batch_norm:
            x = layers.BatchNormalization(momentum=0.9, name=f"bn{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(1 - keep_probability, seed=1, name="dropout")(x)
    features = layers.Dense(embedding_size, dtype="float32", name="features")(x)
    return keras.Model(images, features, name="tiny")
