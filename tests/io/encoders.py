"""What others do to pictures and films on their way."""

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from PIL import Image


def x264(frames: Sequence[np.ndarray], crf: int) -> list[np.ndarray]:
    """As ffmpeg -c:v libx264 -crf N -pix_fmt yuv420p does, and back."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("libx264", Fraction(30), {"crf": str(crf)})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(io.BytesIO(file.getvalue())))
