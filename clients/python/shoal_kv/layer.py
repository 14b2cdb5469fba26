"""K and V of one layer as the bytes of an object (docs/KV.md)."""

import json
from dataclasses import dataclass
from math import prod
from typing import Any, List, Optional, Tuple

from .casts import decode
from .errors import Corrupt, Unsupported

HEADER_BYTES = 4096
LAYER_BYTES = 1 << 30
FLOAT_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
CAST_BYTES = {"float16": 2, "bfloat16": 2, "int8": 1, "float8e4m3fn": 1}


@dataclass(frozen=True)
class Tensor:
    """A tensor as it lies in memory, in row-major order, little-endian."""

    dtype: str
    shape: Tuple[int, ...]
    data: bytes
    layout: Optional[str] = None

    @classmethod
    def of(cls, value: Any, layout: Optional[str] = None) -> "Tensor":
        """From a Tensor, a numpy array or a torch tensor on any device."""
        if isinstance(value, Tensor):
            return value
        if hasattr(value, "detach"):
            import torch

            host = value.detach().contiguous().cpu()
            data = host.reshape(-1).view(torch.uint8).numpy().tobytes()
            return cls(str(host.dtype).replace("torch.", ""), tuple(host.shape), data, layout)
        if hasattr(value, "tobytes") and hasattr(value, "dtype"):
            little = value.astype(value.dtype.newbyteorder("<"), copy=False)
            return cls(little.dtype.name, tuple(little.shape), little.tobytes(), layout)
        raise Unsupported(f"a tensor must be a Tensor, a numpy array or a torch tensor, not {type(value).__name__}")

    def numpy(self) -> Any:
        """As a numpy array, which has no bfloat16."""
        import numpy

        return numpy.frombuffer(self.data, dtype=self.dtype).reshape(self.shape)

    def torch(self) -> Any:
        import torch

        return torch.frombuffer(bytearray(self.data), dtype=getattr(torch, self.dtype)).reshape(self.shape)


def pack(k: Tensor, v: Tensor) -> List[bytes]:
    """The pieces of a layer, in order, as the tensors are."""
    for name, tensor in (("k", k), ("v", v)):
        if tensor.dtype in FLOAT_BYTES and prod(tensor.shape) * FLOAT_BYTES[tensor.dtype] != len(tensor.data):
            raise Unsupported(f"{name}: {tensor.dtype} {list(tensor.shape)} has other than {len(tensor.data)} bytes")
        if tensor.layout is not None and len(set(tensor.layout)) != len(tensor.shape):
            raise Unsupported(f"{name}: layout must have one letter for each of {len(tensor.shape)} axes")
    header = json.dumps({"k": _described(k), "v": _described(v)}, separators=(",", ":")).encode()
    return [len(header).to_bytes(4, "little"), header, k.data, v.data]


def _described(tensor: Tensor) -> dict:
    about = {"dtype": tensor.dtype, "shape": list(tensor.shape), "bytes": len(tensor.data)}
    return about if tensor.layout is None else {**about, "layout": tensor.layout}


def unpack(data: bytes, most_bytes: int = LAYER_BYTES) -> Tuple[Tensor, Tensor]:
    """The K and V in these bytes. Raises Corrupt if they are none, and Unsupported for a compression that needs another package."""
    view = memoryview(data)
    length = int.from_bytes(view[:4], "little") if len(data) >= 4 else HEADER_BYTES + 1
    if length > HEADER_BYTES:
        raise Corrupt("the object is not the K/V of a layer: its header is missing")
    try:
        header = json.loads(bytes(view[4 : 4 + length]))
        parts = [header["k"], header["v"]]
        sizes = [_checked(part) for part in parts]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt("the object is not the K/V of a layer: its header is damaged") from error
    if 4 + length + parts[0]["bytes"] + parts[1]["bytes"] != len(data):
        raise Corrupt("the K/V of a layer has another length than its header says")
    if sum(sizes) > most_bytes:
        raise Corrupt(f"the K/V of a layer would have {sum(sizes)} bytes; this client takes {most_bytes}")
    middle = 4 + length + parts[0]["bytes"]
    return _tensor(parts[0], view[4 + length : middle]), _tensor(parts[1], view[middle:])


def scale_count(about: dict) -> int:
    layout, shape = about["layout"], about["shape"]
    return shape[layout.index("h")] * shape[layout.index("d")]


def _checked(about: dict) -> int:
    """The bytes of a tensor once it is decoded. Raises ValueError, KeyError or TypeError if its header contradicts itself."""
    dtype, shape, stored, cast = about["dtype"], about["shape"], about["bytes"], about.get("cast")
    compression, layout = about.get("compression"), about.get("layout")
    if not isinstance(dtype, str) or not isinstance(shape, list) or len(shape) > 16:
        raise ValueError("header")
    numbers = [*shape, stored] + ([] if compression is None else [compression["bytes"], compression["shuffle"]])
    if any(type(number) is not int or not 0 <= number < 1 << 53 for number in numbers):
        raise ValueError("header")
    if layout is not None and (not isinstance(layout, str) or len(layout) != len(shape)):
        raise ValueError("header")
    elements = prod(shape)
    scales = 4 * scale_count(about) if cast == "int8" else 0
    data = stored - scales if compression is None else compression["bytes"]
    size = CAST_BYTES[cast] if cast is not None else FLOAT_BYTES.get(dtype)
    if scales > stored or (size is not None and elements * size != data):
        raise ValueError("header")
    if cast is not None and (dtype not in FLOAT_BYTES or elements == 0):
        raise ValueError("header")
    if compression is not None and (not 1 <= compression["shuffle"] <= 8 or data % compression["shuffle"] != 0):
        raise ValueError("header")
    return data if cast is None else elements * FLOAT_BYTES[dtype]


def _tensor(about: dict, stored: memoryview) -> Tensor:
    scales = 4 * scale_count(about) if about.get("cast") == "int8" else 0
    data = decode(about, bytes(stored[:scales]), stored[scales:])
    return Tensor(about["dtype"], tuple(about["shape"]), data, about.get("layout"))
