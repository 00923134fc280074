"""Make `hand_landmarks.onnx` and `palms.onnx`: MediaPipe's two networks in the form that ONNX Runtime runs.

    python -m stages.assets.make.hand_networks

It reads `hand_landmarker.task` and needs the packages onnx and ai-edge-litert (Apache-2.0). Weights stay what they are,
float16; nothing is trained or rounded. What changes:

- Crops come in as bytes and are scaled inside.
- The landmark network also gives the maps that its last layers are computed from, for a network built on top of it:
  the outputs of its last residual blocks at 28, 14 and 7 places a side, and the pooled features.
- A PReLU becomes two depthwise products, a x + (1 - a) max(x, 0), which ONNX Runtime computes in the order of channels
  that its convolutions use: 6.3 ms in place of 12.1 for the palm network.
"""

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stages.assets import HAND_LANDMARKER, LANDMARK_NETWORK, PALM_NETWORK

_OPSET: Final = 17
_IR_VERSION: Final = 8  # the one that came with opset 17
_TYPES: Final = {0: np.float32, 1: np.float16, 2: np.int32}  # by TensorFlow Lite's numbers


@dataclass
class _Operator:
    name: str
    inputs: list[int]
    output: int
    options: Any


@dataclass
class _Graph:
    """A TensorFlow Lite graph: its maps are (1, rows, columns, channels)."""

    operators: list[_Operator]
    shapes: dict[int, tuple[int, ...]]
    constants: dict[int, NDArray[Any]]
    input: int
    outputs: list[int]


@dataclass
class _Writer:
    """An ONNX graph in the making: its maps are (N, channels, rows, columns)."""

    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def weight(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant; what float16 holds is kept in float16 and widened when the network is loaded."""
        from onnx import TensorProto, numpy_helper

        halves = values.astype(np.float16) if values.dtype == np.float32 else None
        if halves is None or not np.array_equal(halves.astype(np.float32), values):
            self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
            return name
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(halves), f"{name}_half"))
        self.add("Cast", [f"{name}_half"], name, to=TensorProto.FLOAT)
        return name


def landmark_network(tflite: bytes) -> bytes:
    """Return the landmark network, ONNX. Outputs are named as `stages.detection.hand_network` names them."""
    graph = _read(tflite)
    writer = _Writer()
    _begin(writer, graph)
    for operator in graph.operators:
        _translate(writer, graph, operator)
    landmarks, presence, right, world = graph.outputs
    outputs: dict[str, tuple[int, ...]] = {}
    for name, source, shape in (
        ("landmarks", landmarks, (21, 3)),
        ("presence", presence, ()),
        ("right", right, ()),
        ("world", world, (21, 3)),
    ):
        writer.add("Reshape", [f"t{source}", writer.weight(f"{name}_shape", np.array((-1, *shape)))], name)
        outputs[name] = shape
    for side in (28, 14, 7):
        source = [o.output for o in graph.operators if o.name == "ADD" and graph.shapes[o.output][1] == side][-1]
        writer.add("Identity", [f"t{source}"], f"map_{side}")
        outputs[f"map_{side}"] = (graph.shapes[source][3], side, side)
    (pooled,) = (o.output for o in graph.operators if o.name == "MEAN")
    writer.add("Identity", [f"t{pooled}"], "pooled")
    outputs["pooled"] = (graph.shapes[pooled][-1],)
    return _finished(writer, graph, outputs)


def palm_network(tflite: bytes) -> bytes:
    """Return the palm network, ONNX: for each anchor the raw `boxes` (N, 2016, 18) and `scores` (N, 2016)."""
    graph = _read(tflite)
    writer = _Writer()
    _begin(writer, graph)
    for operator in graph.operators:
        _translate(writer, graph, operator)
    boxes, scores = graph.outputs
    count = graph.shapes[boxes][1]
    writer.add("Identity", [f"t{boxes}"], "boxes")
    writer.add("Reshape", [f"t{scores}", writer.weight("scores_shape", np.array((-1, count)))], "scores")
    return _finished(writer, graph, {"boxes": (count, graph.shapes[boxes][2]), "scores": (count,)})


def _read(tflite: bytes) -> _Graph:
    from ai_edge_litert import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite, 0))
    graph = model.subgraphs[0]
    shapes = {i: tuple(t.shape.tolist()) if t.shape is not None else () for i, t in enumerate(graph.tensors)}
    constants: dict[int, NDArray[Any]] = {}
    for i, tensor in enumerate(graph.tensors):
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            constants[i] = np.frombuffer(bytes(data), _TYPES[tensor.type]).reshape(shapes[i])
    operators = []
    for each in graph.operators:
        code = model.operatorCodes[each.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs, output = [int(i) for i in each.inputs], int(each.outputs[0])
        if name == "DEQUANTIZE":
            constants[output] = constants[inputs[0]].astype(np.float32)
        else:
            operators.append(_Operator(name, inputs, output, each.builtinOptions))
    return _Graph(operators, shapes, constants, int(graph.inputs[0]), [int(i) for i in graph.outputs])


def _begin(writer: _Writer, graph: _Graph) -> None:
    """Take `crops` (N, rows, columns, 3), bytes, to the network's own input, 0 to 1."""
    from onnx import TensorProto

    writer.add("Transpose", ["crops"], "planes", perm=[0, 3, 1, 2])
    writer.add("Cast", ["planes"], "grey_levels", to=TensorProto.FLOAT)
    writer.add("Mul", ["grey_levels", writer.weight("grey_level", np.array(1 / 255, np.float32))], f"t{graph.input}")


def _translate(writer: _Writer, graph: _Graph, operator: _Operator) -> None:
    inputs, output, options = operator.inputs, f"t{operator.output}", operator.options
    source = f"t{inputs[0]}"
    match operator.name:
        case "CONV_2D" | "DEPTHWISE_CONV_2D":
            _convolve(writer, graph, operator)
        case "ADD":
            writer.add("Add", [source, f"t{inputs[1]}"], _before(options, output))
            _activate(writer, options, output)
        case "PRELU":
            slope = graph.constants[inputs[1]].reshape(-1, 1, 1, 1)
            group = {"kernel_shape": [1, 1], "group": len(slope)}
            writer.add("Relu", [source], f"{output}_positive")
            writer.add("Conv", [source, writer.weight(f"{output}_slope", slope)], f"{output}_all", **group)
            rest = writer.weight(f"{output}_rest", 1 - slope)
            writer.add("Conv", [f"{output}_positive", rest], f"{output}_more", **group)
            writer.add("Add", [f"{output}_all", f"{output}_more"], output)
        case "MAX_POOL_2D":
            window = [options.filterHeight, options.filterWidth]
            writer.add("MaxPool", [source], output, kernel_shape=window, strides=[options.strideH, options.strideW])
        case "PAD":
            (_, _), (top, bottom), (left, right), (first, last) = graph.constants[inputs[1]].tolist()
            ends = np.array([0, first, top, left, 0, last, bottom, right])
            writer.add("Pad", [source, writer.weight(f"{output}_ends", ends)], output)
        case "RESIZE_BILINEAR":
            larger = np.divide(graph.shapes[operator.output][1:3], graph.shapes[inputs[0]][1:3])
            scales = writer.weight(f"{output}_scales", np.array([1, 1, *larger], np.float32))
            place = "half_pixel" if options.halfPixelCenters else "asymmetric"
            writer.add("Resize", [source, "", scales], output, mode="linear", coordinate_transformation_mode=place)
        case "RESHAPE":  # of a map to a list, whose order is that of the map's places
            shape = writer.weight(f"{output}_shape", np.array((-1, *graph.shapes[operator.output][1:])))
            writer.add("Transpose", [source], f"{output}_places", perm=[0, 2, 3, 1])
            writer.add("Reshape", [f"{output}_places", shape], output)
        case "CONCATENATION":
            writer.add("Concat", [f"t{i}" for i in inputs], output, axis=options.axis)
        case "MEAN":
            writer.add("GlobalAveragePool", [source], f"{output}_map")
            writer.add("Flatten", [f"{output}_map"], output)
        case "FULLY_CONNECTED":
            weight = writer.weight(f"{output}_weight", graph.constants[inputs[1]])
            bias = writer.weight(f"{output}_bias", graph.constants[inputs[2]])
            writer.add("Gemm", [source, weight, bias], output, transB=1)
        case "LOGISTIC":
            writer.add("Sigmoid", [source], output)
        case other:
            raise NotImplementedError(f"{other}: expected only operators of MediaPipe's hand networks")


def _convolve(writer: _Writer, graph: _Graph, operator: _Operator) -> None:
    source, output, options = operator.inputs[0], f"t{operator.output}", operator.options
    kernel, bias = (graph.constants[i] for i in operator.inputs[1:3])
    if operator.name == "CONV_2D":
        kernel, groups = kernel.transpose(0, 3, 1, 2), 1
    else:
        kernel, groups = kernel.transpose(3, 0, 1, 2), kernel.shape[3]
    size, stride = kernel.shape[2], options.strideH
    missing = 0
    if options.padding == 0:  # "same": as many zeros as the output's size needs, the odd one at the end
        missing = max((graph.shapes[operator.output][1] - 1) * stride + size - graph.shapes[source][1], 0)
    before, after = missing // 2, missing - missing // 2
    writer.add(
        "Conv",
        [f"t{source}", writer.weight(f"{output}_weight", kernel), writer.weight(f"{output}_bias", bias)],
        _before(options, output),
        kernel_shape=[size, size],
        strides=[stride, stride],
        group=groups,
        pads=[before, before, after, after],
    )
    _activate(writer, options, output)


def _before(options: Any, output: str) -> str:
    """Return the name of a result before the activation that TensorFlow Lite fuses with it."""
    return f"{output}_linear" if options.fusedActivationFunction else output


def _activate(writer: _Writer, options: Any, output: str) -> None:
    match options.fusedActivationFunction:
        case 0:
            pass
        case 1:
            writer.add("Relu", [f"{output}_linear"], output)
        case 3:
            least = writer.weight(f"{output}_least", np.array(0, np.float32))
            most = writer.weight(f"{output}_most", np.array(6, np.float32))
            writer.add("Clip", [f"{output}_linear", least, most], output)
        case other:
            raise NotImplementedError(f"activation {other}: expected none, ReLU or ReLU6")


def _finished(writer: _Writer, graph: _Graph, outputs: dict[str, tuple[int, ...]]) -> bytes:
    import onnx
    from onnx import TensorProto, helper

    crops = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["hands", *graph.shapes[graph.input][1:]])
    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["hands", *shape]) for n, shape in outputs.items()]
    made = helper.make_graph(writer.nodes, "hands", [crops], given, writer.weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def make_networks(task_file: Path = HAND_LANDMARKER) -> dict[Path, bytes]:
    """Return what each file holds."""
    with zipfile.ZipFile(task_file) as archive:
        return {
            LANDMARK_NETWORK: landmark_network(archive.read("hand_landmarks_detector.tflite")),
            PALM_NETWORK: palm_network(archive.read("hand_detector.tflite")),
        }


if __name__ == "__main__":
    for path, content in make_networks().items():
        path.write_bytes(content)
