"""How faces are found and cut out of photographs: all choices in one place."""

from dataclasses import dataclass
from pathlib import Path

from tf_facenet.align import crop
from tf_facenet.files import parse_json, write_json

NOTE = "alignment.json"  # in a folder of faces: how they were cut


@dataclass(frozen=True)
class Recipe:
    """How faces are found and cut.

    Attributes:
        image_size, margin: of `crop.margin_crop`, unless there is a template.
        template: name of one of `crop.TEMPLATES`, or "".
        window: (top, left, height, width) of the template's picture that is wanted, or None for all.
        multiple: all faces of an image instead of one.
        rule: which one; see `crop.choose`.
        min_face_size, batch_size: of `Detector`.
    """

    image_size: int = 182
    margin: int = 44
    template: str = ""
    multiple: bool = False
    rule: str = "central"
    min_face_size: int = 0
    batch_size: int = 16
    window: tuple | None = None

    def cut(self, image, found):
        """The faces of an image.

        Returns:
            list of (face uint8 [height, width, 3], [x1, y1, x2, y2] of what was cut out or found).

        Raises:
            ValueError: there is none that can be cut.
        """
        if not len(found):
            raise ValueError("no face found")
        chosen = range(len(found)) if self.multiple else [crop.choose(found.boxes, image.shape[:2], self.rule)]
        if not self.template:
            return [crop.margin_crop(image, found.boxes[face], self.margin, self.image_size) for face in chosen]
        points, size = crop.template(self.template)
        if self.window:
            top, left, *size = self.window
            points = points - [left, top]
        return [(crop.warp(image, crop.similarity(found.landmarks[face], points), size), found.boxes[face].astype(int))
                for face in chosen]

    def note(self, folder):
        """Note in a folder of faces how they are cut, for the networks that learn from them.

        Raises:
            OSError: the note cannot be written.
            ValueError: the folder has faces that were cut otherwise.
        """
        own = {"template": self.template} if self.template else {"image_size": self.image_size, "margin": self.margin}
        older = _noted(folder)
        if older not in (None, own):
            first, second = (", ".join(f"{name} {value}" for name, value in how.items()) for how in (older, own))
            raise ValueError(f"folder '{folder}' has faces of {first}; these would be of {second}. Name another folder "
                             "or the same options")
        if older is None:
            write_json(Path(folder, NOTE), own)


def noted_template(sources):
    """The template that is noted in all of some folders of faces, or "".

    Args:
        sources: single paths that `data.load` takes.

    Raises:
        OSError: a note cannot be read.
        ValueError: a note is damaged.
    """
    templates = {(_noted(source) or {}).get("template", "") for source in sources}
    return templates.pop() if len(templates) == 1 else ""


def _noted(folder):
    path = Path(folder, NOTE).expanduser()
    return parse_json(path.read_bytes(), path) if path.is_file() else None
