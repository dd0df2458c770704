"""Write a model as a SavedModel, which runs without this package."""

from dataclasses import dataclass

from tf_facenet.config import positional


@dataclass(kw_only=True)
class Options:
    """Write a model as a SavedModel, which runs without this package."""

    model: str = positional("run folder or .keras file")
    out: str = positional("folder to write; an older export there is replaced")


def run(options):
    """Export, compare with Keras, and say what was written."""
    from tf_facenet import logs

    logs.to_stdout()
    from tf_facenet.export.saved_model import SIGNATURES, saved_model
    from tf_facenet.inference.model_file import load_model

    model, metadata = load_model(options.model)
    difference = saved_model(model, metadata, options.out)
    height, width = metadata["image_size"]
    print(f"Exported {options.model} to {options.out}")
    for name, takes in SIGNATURES.items():
        print(f"  {name:16} {takes} → embeddings [B, {metadata['embedding_size']}], norm [B]")
    print(f"Image size: {height}x{width}")
    print(f"Largest difference to Keras: {difference:.1e}")
