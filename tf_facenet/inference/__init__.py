"""Trained networks at work: model files, and images turned into embeddings."""

from tf_facenet import logs
from tf_facenet.inference import metadata


def load_embedder(path, modules=(), *settings):
    """`embedder.Embedder.load`; what is wrong with the file comes up before TensorFlow is loaded, where that can be.

    Args:
        path: of the model.
        modules: of layers of one's own, as `--import` names them.
        *settings: what `Embedder` takes besides.
    """
    metadata.read(path)
    logs.import_tensorflow()
    from tf_facenet.backbones import own
    from tf_facenet.inference.embedder import Embedder

    return Embedder.load(path, *settings, custom_objects=own.objects(modules))
