"""Write a model as a SavedModel, ONNX or TFLite, which run without this package."""

from dataclasses import dataclass

from tf_facenet.config import option, place, positional
from tf_facenet.options.data import ImportOptions
from tf_facenet.terminal import say


@dataclass(kw_only=True)
class Options(ImportOptions):
    """Write a model as a SavedModel, ONNX or TFLite, compared with Keras on pairs of faces before it stays."""

    model: str = positional("run folder or .keras file")
    out: str = positional("file ending in .onnx or .tflite, or folder of a SavedModel; an older export is replaced")
    format: str = option("", "saved_model, onnx or tflite; by default what the ending says")
    quantize: str = option("", "smaller numbers in TFLite: float16; int8 for processors that compute with integers",
                           choices=("float16", "int8"))
    calibrate: str = option("drawn", "int8: faces like those that the network will see, as --data_dir takes them")
    pairs: str = option("drawn", "images of the pairs to compare on, as --lfw_dir takes them; drawn faces show that "
                        "the export computes the same, not how good it is on photographs")
    lfw_pairs: str = option("pairs.txt", "pairs file; also looked for in and beside --pairs")
    crop: place = option((0.5, 0.5), "where larger images are cropped: center, left, right, top, bottom, or "
                         "DOWN,ACROSS, shares from 0 to 1; left for faces on the 112x96 template in wider images",
                         type=place)
    no_metadata_names: bool = option(False, "leave out the names of the people and the options of the training, which "
                                     "else travel with the export")
    quiet: bool = option(False, "no progress bar")

    def __post_init__(self):
        """Raise ValueError for a format that cannot be written."""
        from tf_facenet.export import format_of

        format_of(self.out, self.format, self.quantize)


def run(options):
    """Export, compare with Keras, and say what was written."""
    from tf_facenet import logs
    from tf_facenet.backbones import own
    from tf_facenet.data.pairs import load_pairs
    from tf_facenet.export import check_place, format_of
    from tf_facenet.inference.metadata import check_keras, without_names

    check_keras(options.model)
    check_place(options.out)
    pairs = None if options.pairs == "drawn" else load_pairs(options.pairs, options.lfw_pairs)
    logs.import_tensorflow()
    from tf_facenet.export import writing
    from tf_facenet.inference.model_file import load_model

    model, metadata = load_model(options.model, own.objects(options.import_))
    if options.no_metadata_names:
        metadata = without_names(metadata)
    proof = writing.export(model, metadata, options.out, pairs=pairs, quantize=options.quantize,
                           calibrate=options.calibrate, place=options.crop, quiet=options.quiet)
    height, width = metadata["image_size"]
    say(f"Exported {options.model} to {options.out} ({format_of(options.out)}): pixels [B, {height}, {width}, 3] → "
        f"embeddings [B, {metadata['embedding_size']}], norm [B]",
        f"Largest difference to Keras: {proof.difference:.1e}",
        f"Accuracy on {proof.pairs}: {proof.before:.4f} in Keras, {proof.after:.4f} exported")
    if options.quantize == "int8" and options.calibrate == "drawn":
        say("Calibrated with drawn faces; --calibrate with a folder of real ones loses less accuracy on those")
