"""Training under any tf.distribute strategy: loop, optimizers, checkpoints, validation."""
