"""Trained networks at work: model files, and images turned into embeddings."""
