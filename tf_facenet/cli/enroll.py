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
    from tf_facenet import data
    from tf_facenet.cli import shared
    from tf_facenet.inference import gallery_files, metadata
    from tf_facenet.inference.gallery import Gallery

    gallery_files.check_place(options.gallery)
    old = Gallery.load(options.gallery) if gallery_files.is_gallery(options.gallery) else None
    if old:
        metadata.check_made_by(old, options.model)
    faces = data.load(options.data_dir)
    embedder = shared.load_embedder(options.model, options)
    if old:
        old.check_model(embedder.metadata["model_id"])
    faces, embeddings, _, skipped = shared.embed_unit(embedder, faces, options)
    names = [faces.names[label] for label in faces.labels]
    gallery, added = Gallery.add(options.gallery, embeddings, names, embedder.metadata["model_id"])
    faces = faces.select(added)
    say(f"Added {len(faces)} faces of {faces.num_classes} people; {options.gallery} has {len(gallery)} faces of "
        f"{len(set(gallery.names))} people")
    return skipped.tell()
