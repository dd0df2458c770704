"""Trained networks at work: model files, and images turned into embeddings."""

from tf_facenet import environment

environment.check_keras()
