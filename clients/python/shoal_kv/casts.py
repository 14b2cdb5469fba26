"""Reads what other clients have cast or compressed, in plain Python: right, and slow for large layers."""

import struct
from array import array
from math import inf, nan

from .errors import Corrupt, Unsupported


def decode(about: dict, scales: bytes, stored: memoryview) -> bytes:
    """The elements of a tensor in its own dtype. The header is checked already."""
    compression = about.get("compression")
    data = bytes(stored)
    if compression is not None:
        data = _unshuffled(_decompressed(compression["name"], data, compression["bytes"]), compression["shuffle"])
    cast = about.get("cast")
    if cast is None:
        return data
    if cast == "int8":
        return _narrow(about["dtype"], _scaled(about, struct.unpack(f"<{len(scales) // 4}f", scales), array("b", data)))
    return _narrow(about["dtype"], _widen(cast, data))


def _decompressed(name: str, data: bytes, length: int) -> bytes:
    if name == "lz4":
        return decompress_lz4(data, length)
    if name != "zstd":
        raise Corrupt(f"a tensor has the compression {name}, which is not known")
    try:
        from compression import zstd  # Python 3.14

        out = zstd.ZstdDecompressor().decompress(data, max_length=length + 1)
    except ImportError:
        try:
            import zstandard
        except ImportError:
            raise Unsupported("zstd needs Python >= 3.14 or the package zstandard") from None
        out = zstandard.ZstdDecompressor().decompress(data, max_output_size=length)
    if len(out) != length:
        raise Corrupt("the Zstandard frame of a tensor has another length than its header says")
    return out


def decompress_lz4(data: bytes, length: int) -> bytes:
    """One block of LZ4. Raises Corrupt unless `length` bytes come out."""
    out = bytearray()
    at = 0
    try:
        while True:
            token = data[at]
            at += 1
            count, at = _length(data, at, token >> 4)
            if at + count > len(data) or len(out) + count > length:
                raise IndexError
            out += data[at : at + count]
            at += count
            if at == len(data):
                break
            offset = data[at] | data[at + 1] << 8
            count, at = _length(data, at + 2, token & 15)
            count += 4
            if offset == 0 or offset > len(out) or len(out) + count > length:
                raise IndexError
            start = len(out) - offset
            # A match may overlap what it writes.
            repeated = bytes(out[start : start + min(count, offset)])
            out += (repeated * (count // len(repeated) + 1))[:count]
    except IndexError:
        raise Corrupt("the LZ4 block of a tensor is damaged, or has another length than its header says") from None
    if len(out) != length:
        raise Corrupt("the LZ4 block of a tensor has another length than its header says")
    return bytes(out)


def _length(data: bytes, at: int, nibble: int):
    count = nibble
    more = nibble == 15
    while more:
        byte = data[at]
        at += 1
        count += byte
        more = byte == 255
    return count, at


def _unshuffled(data: bytes, size: int) -> bytes:
    if size == 1:
        return data
    out = bytearray(len(data))
    count = len(data) // size
    for place in range(size):
        out[place::size] = data[place * count : (place + 1) * count]
    return bytes(out)


def _float8(code: int) -> float:
    sign = -1.0 if code & 0x80 else 1.0
    exponent, fraction = (code >> 3) & 15, (code & 7) / 8
    if code & 0x7F == 0x7F:
        return nan
    return sign * (fraction * 2.0**-6 if exponent == 0 else (1 + fraction) * 2.0 ** (exponent - 7))


_FLOAT8 = [_float8(code) for code in range(256)]


def _widen(dtype: str, data: bytes) -> list:
    if dtype == "float8e4m3fn":
        return [_FLOAT8[code] for code in data]
    if dtype == "float16":
        return list(struct.unpack(f"<{len(data) // 2}e", data))
    words = array("H", data)
    return list(struct.unpack(f"<{len(words)}f", struct.pack(f"<{len(words)}I", *(word << 16 for word in words))))


def _narrow(dtype: str, values: list) -> bytes:
    if dtype == "float32":
        return struct.pack(f"<{len(values)}f", *values)
    if dtype == "float16":
        return b"".join(_half(value) for value in values)
    bits = struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values))
    words = [(bit >> 16) | 0x40 if bit & 0x7FFFFFFF > 0x7F800000 else (bit + 0x7FFF + ((bit >> 16) & 1)) >> 16 for bit in bits]
    return struct.pack(f"<{len(words)}H", *words)


def _half(value: float) -> bytes:
    try:
        return struct.pack("<e", value)
    except OverflowError:
        return struct.pack("<e", inf if value > 0 else -inf)


def _scaled(about: dict, scales: tuple, values: array) -> list:
    shape, layout = about["shape"], about["layout"]
    heads, channels = layout.index("h"), layout.index("d")
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    rows, columns, width = shape[heads], shape[channels], shape[channels]
    (by_h, by_d) = (strides[heads], strides[channels])
    out = [
        value * scales[(i // by_h) % rows * width + (i // by_d) % columns]
        for i, value in enumerate(values)
    ]
    # The products are rounded to float32, as the other clients do.
    return list(struct.unpack(f"<{len(out)}f", struct.pack(f"<{len(out)}f", *out)))
