"""Write the embeddings of a folder of faces, as .npz, .csv or for TensorBoard's projector."""

from dataclasses import dataclass

from tf_facenet.cli.shared import FaceOptions
from tf_facenet.config import option, positional
from tf_facenet.terminal import say

PROJECTOR = "projector_config.pbtxt"  # what TensorBoard looks for in a folder
PROJECTOR_TEXT = """embeddings {
  tensor_name: "faces"
  tensor_path: "vectors.tsv"
  metadata_path: "people.tsv"
}
"""


@dataclass(kw_only=True)
class Options(FaceOptions):
    """Write the embeddings of a folder of faces, as .npz, .csv or for TensorBoard's projector."""

    model: str = positional("run folder, .keras file or exported model")
    data: str = positional("folder with one sub-folder for each person, or what else --data_dir takes")
    output: str = option("embeddings.npz", "file to write: .npz with the arrays embeddings, quality, labels, names and "
                         "files, or .csv", short="o", writes="file")
    projector: str = option("", "also write a folder that TensorBoard's projector shows", writes="folder")


def run(options):
    """Embed and write."""
    from tf_facenet.cli import shared
    from tf_facenet.lookup import lookup

    suffix = options.output.rpartition(".")[2]
    write = lookup({"npz": _write_npz, "csv": _write_csv}, suffix, "format of --output")
    if options.projector:
        _check_projector(options.projector)
    from tf_facenet import data

    faces = data.load(options.data)
    embedder = shared.load_embedder(options.model, options)
    faces, embeddings, quality, skipped = shared.embed_faces(embedder, faces, options)
    write(options.output, faces, embeddings, quality)
    if options.projector:
        _write_projector(options.projector, faces, embeddings)
    say(f"{len(faces)} embeddings of {embeddings.shape[1]} numbers, {faces.num_classes} people: {options.output}",
        *[f"tensorboard --logdir {options.projector}"] * bool(options.projector))
    return skipped.tell()


def _names_of_files(faces):
    return [sample if isinstance(sample, str) else f"image {row}" for row, sample in enumerate(faces.samples)]


def _write_npz(path, faces, embeddings, quality):
    import numpy as np

    from tf_facenet.files import atomic_write

    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, embeddings=embeddings, quality=quality, labels=faces.labels, names=np.array(faces.names),
                 files=np.array(_names_of_files(faces)))


def _write_csv(path, faces, embeddings, quality):
    import itertools

    from tf_facenet.files import write_csv

    head = ["file", "person", "quality", *range(embeddings.shape[1])]
    rows = ([name, faces.names[label], f"{norm:.5g}", *(f"{value:.7g}" for value in row)]
            for name, label, norm, row in zip(_names_of_files(faces), faces.labels, quality, embeddings, strict=True))
    write_csv(path, itertools.chain([head], rows))


def _check_projector(folder):
    """Raise ValueError if a folder has files of these names that are not ours, such as those of a Keras callback."""
    from pathlib import Path

    config = Path(folder, PROJECTOR)
    ours = config.is_file() and config.read_text(encoding="utf-8", errors="replace") == PROJECTOR_TEXT
    found = [name for name in ("vectors.tsv", "people.tsv", PROJECTOR) if Path(folder, name).exists()]
    if found and not ours:
        raise ValueError(f"--projector {folder} has {' and '.join(found)} already, of something else. Name another "
                         "folder")


def _write_projector(folder, faces, embeddings):
    from pathlib import Path

    import numpy as np

    from tf_facenet.data.lines import escaped, write_lines
    from tf_facenet.files import atomic_write

    with atomic_write(Path(folder, "vectors.tsv")) as temporary:
        np.savetxt(temporary, embeddings, "%.6g", "\t")
    with atomic_write(Path(folder, "people.tsv")) as temporary:
        write_lines(temporary, (escaped(faces.names[label]) for label in faces.labels))
    with atomic_write(Path(folder, PROJECTOR)) as temporary:
        temporary.write_text(PROJECTOR_TEXT, encoding="utf-8")
