"""How faces are found and cut out of photographs: all choices in one place."""

from dataclasses import dataclass

from tf_facenet.align import crop


@dataclass(frozen=True)
class Recipe:
    """How faces are found and cut.

    Attributes:
        image_size, margin: of `crop.margin_crop`, unless there is a template.
        template: name of one of `crop.TEMPLATES`, or "".
        multiple: all faces of an image instead of one.
        rule: which one; see `crop.choose`.
        min_face_size, batch_size: of `Detector`.
    """

    image_size: int = 182
    margin: int = 44
    template: str = ""
    multiple: bool = False
    rule: str = "central"
    min_face_size: int = 20
    batch_size: int = 16

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
        return [(crop.warp(image, crop.similarity(found.landmarks[face], points), size), found.boxes[face].astype(int))
                for face in chosen]
