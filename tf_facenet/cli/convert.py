"""Turn weights of facenet, facenet-pytorch, insightface and others into a model file."""

from dataclasses import dataclass

from tf_facenet.config import image_size, option, positional
from tf_facenet.options.data import TEMPLATES
from tf_facenet.terminal import say

SHOWN = 6  # names of a list


@dataclass(kw_only=True)
class Options:
    """Turn weights of facenet, facenet-pytorch, insightface and others into a model file.

    Reads PyTorch files without PyTorch and without running what is in them, TensorFlow 1 checkpoints, frozen graphs,
    and ONNX files whose initialisers have the names of a state dict.
    """

    source: str = positional("PyTorch file (.pt, .pth, .ckpt), prefix of a TensorFlow 1 checkpoint, frozen graph (.pb) "
                             "or .onnx")
    out: str = positional("model file to write, ending in .keras", writes="file")
    backbone: str = option("", "network that the weights must be of, such as iresnet50; by default the file says it")
    image_size: image_size = option(None, "side in pixels or HEIGHTxWIDTH; by default what the file says or is usual",
                                    type=image_size)
    embedding_size: int = option(None, "width of the embedding; by default the file says it", type=int)
    standardization: str = option("", "what the original takes: fixed, (x - 127.5) / 128; insightface, (x - 127.5) / "
                                  "127.5; imagenet; per_image; none; by default what is usual for it")
    color_order: str = option("RGB", "order in which the original takes the channels; the model file takes RGB",
                              choices=("RGB", "BGR"))
    template: str = option("", "where faces lie in its images; by default what is usual for it", choices=TEMPLATES)
    data_licence: str = option("", "licence of the data behind the weights; by default the original's terms")
    check: bool = option(False, "compare with the original on random images, if that can be run: ONNX")


def run(options):
    """Convert, write the file, and say what became of every array."""
    from tf_facenet import logs
    from tf_facenet.inference.metadata import check_ending
    from tf_facenet.weights import source

    check_ending(options.out)
    source.kind(options.source)
    logs.import_tensorflow()
    from tf_facenet.inference.model_file import save_model
    from tf_facenet.weights import comparison, conversion

    result = conversion.convert(options.source, options.backbone, options.image_size, options.embedding_size,
                                options.standardization, options.color_order)
    own = {name: getattr(options, name) for name in ("template", "data_licence") if getattr(options, name)}
    metadata = result.metadata | own
    height, width, _ = result.model.input_shape[1:]
    features = result.model.output_shape[1]
    compared = [comparison.report(options.source, result)] if options.check else []
    save_model(result.model, options.out, metadata)
    say(f"{metadata['backbone']}, {height}x{width} pixels, {features} features, from {options.source}",
        f"Arrays: {result.num_arrays - len(result.unused)} used, {len(result.unused)} unused{shown(result.unused)}",
        *[f"New, not in the file, to be trained: {', '.join(result.new)}"] * bool(result.new),
        f"The original takes: {' '.join(result.feeds)}, template {metadata['template'] or 'none'}",
        f"Licence of the data: {metadata['data_licence']}", *compared, f"Wrote {options.out}")


def shown(names):
    """``": 50 x num_batches_tracked, logits.weight"``: equal last parts counted."""
    groups = {}
    for name in names:
        groups.setdefault(name.replace("/", ".").rpartition(".")[2], []).append(name)
    texts = [text for last, group in groups.items()
             for text in ([f"{len(group)} x {last}"] if len(group) > SHOWN else group)]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return f": {', '.join(texts[:SHOWN])}{more}" if texts else ""
