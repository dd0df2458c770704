"""Add people to a gallery, by which tf-facenet identify knows them; nothing is trained."""

from dataclasses import dataclass

from tf_facenet.cli.shared import PhotographOptions
from tf_facenet.config import positional
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options(PhotographOptions):
    """Add people to a gallery, by which tf-facenet identify knows them; nothing is trained."""

    model: str = positional("run folder, .keras file or exported model")
    data_dir: str = positional("folder with one sub-folder of images for each person; faces that the gallery has are "
                               "not added again")
    gallery: str = positional("folder of the gallery; made if there is none", writes="folder")


def run(options):
    """Embed and add."""
    from pathlib import Path

    from tf_facenet import data
    from tf_facenet.cli import shared
    from tf_facenet.inference import metadata
    from tf_facenet.inference.gallery import Gallery

    gallery, path = None, Path(options.gallery)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        gallery = Gallery.load(options.gallery)
        metadata.check_made_by(gallery, options.model)
    faces = data.load(options.data_dir)
    embedder = shared.load_embedder(options.model, options)
    model_id = embedder.metadata["model_id"]
    if gallery:
        gallery.check_model(model_id)
    faces, embeddings, _, skipped = shared.embed_unit(embedder, faces, options)
    if gallery:
        new = ~gallery.has(embeddings, [faces.names[label] for label in faces.labels])
        faces, embeddings = faces.select(new), embeddings[new]
    names = [faces.names[label] for label in faces.labels]
    gallery = gallery.with_people(embeddings, names) if gallery else Gallery(embeddings, names, model_id)
    gallery.save(options.gallery)
    say(f"Added {len(faces)} faces of {faces.num_classes} people; {options.gallery} has {len(gallery)} faces of "
        f"{len(set(gallery.names))} people")
    return skipped.tell()
