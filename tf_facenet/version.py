"""The version, for setup.py, the package and the metadata of models."""

__version__ = "0.1.0"
