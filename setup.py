"""Package metadata. Versions that were tested together are in constraints.txt."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'"(.+)"', (ROOT / "tf_facenet/version.py").read_text().split("=")[-1])[1]

setup(
    name="tf_facenet",
    version=VERSION,
    description="Face-embedding networks on Keras 3 and TensorFlow: train, validate on LFW, export",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    packages=find_packages(include=["tf_facenet", "tf_facenet.*"]),
    package_data={"tf_facenet.recipes": ["*.txt"], "tf_facenet.training": ["learning_rate_schedules/*.txt"]},
    py_modules=["train_softmax", "train_tripletloss", "validate_on_lfw"],
    install_requires=[
        "tensorflow>=2.18",
        "keras>=3.10",
        "tensorboard>=2.18",
        "numpy>=2.0",
        "h5py>=3.11",
        "opencv-python-headless>=4.10",
        "matplotlib>=3.9",
    ],
    extras_require={
        "align": ["mtcnn>=1.0"],
        "gpu": ["tensorflow[and-cuda]>=2.18"],
        "sklearn": ["scikit-learn>=1.5"],
        "onnx": ["onnx>=1.17", "onnxruntime>=1.20", "tf2onnx>=1.17"],
        "tflite": ["ai-edge-litert>=2.0"],
        "test": ["pytest>=8", "pytest-xdist>=3.6", "ruff>=0.14", "pylint>=4", "pillow>=11",
                 "scikit-learn>=1.5", "jax>=0.5", "hypothesis>=6.100", "mtcnn>=1.0",
                 "onnx>=1.17", "onnxruntime>=1.20", "tf2onnx>=1.17", "ai-edge-litert>=2.0", "faiss-cpu>=1.9"],
    },
    entry_points={"console_scripts": ["tf-facenet=tf_facenet.cli:main"]},
)
