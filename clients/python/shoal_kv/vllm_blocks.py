"""Blocks of vLLM's paged K/V buffers as bytes, by torch."""

from math import prod
from typing import Any, List, Sequence

from .errors import Corrupt, Unsupported


def block_axis(shape: Sequence[int], blocks: int) -> int:
    """The axis of a layer's buffer that counts blocks: the first or, after that of K and V, the second."""
    for axis in (0, 1):
        if len(shape) > axis and shape[axis] == blocks and (axis == 0 or shape[0] == 2):
            return axis
    raise Unsupported(f"a K/V buffer of shape {list(shape)} has no axis for {blocks} blocks that this connector knows")


class TorchBlocks:
    """Reads and writes blocks of the buffer of one layer. Tests put another class with these two methods in its place."""

    def __init__(self, blocks: int):
        self._blocks = blocks

    def read(self, buffer: Any, ids: Sequence[int]) -> List[bytes]:
        """The bytes of each block, on the host."""
        import torch

        axis = block_axis(buffer.shape, self._blocks)
        index = torch.as_tensor(list(ids), device=buffer.device)
        # As bytes: torch moves elements of 8 bits by no index.
        chosen = buffer.view(torch.uint8).index_select(axis, index)
        host = chosen.movedim(axis, 0).contiguous().cpu().reshape(len(ids), -1).numpy()
        return [row.tobytes() for row in host]

    def write(self, buffer: Any, ids: Sequence[int], data: Sequence[bytes]) -> None:
        """Raises Corrupt if a block has another size than those of the buffer."""
        import torch

        axis = block_axis(buffer.shape, self._blocks)
        target = buffer.view(torch.uint8)
        shape = list(target.shape)
        del shape[axis]
        if any(len(block) != prod(shape) for block in data):
            raise Corrupt(f"a block of K/V has another size than the {prod(shape)} bytes of this buffer")
        flat = torch.frombuffer(bytearray(b"".join(data)), dtype=torch.uint8)
        blocks = flat.reshape(len(ids), *shape).movedim(0, axis)
        index = torch.as_tensor(list(ids), device=buffer.device)
        target.index_copy_(axis, index, blocks.to(buffer.device))
