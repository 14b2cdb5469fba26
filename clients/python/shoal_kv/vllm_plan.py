"""What the connector of vLLM moves in a step, and under which keys. Knows neither vLLM nor a network."""

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence

from .keys import block_keys, fingerprint


@dataclass(frozen=True)
class Deployment:
    """All that the bytes of K/V depend on beside the tokens, the same in the scheduler and in all workers."""

    model: str
    revision: str
    dtype: str
    world_size: int
    block_size: int
    chunk_tokens: int

    def __post_init__(self) -> None:
        if self.chunk_tokens <= 0 or self.chunk_tokens % self.block_size != 0:
            raise ValueError(
                f"shoal_chunk_tokens: must be a multiple of vLLM's block size, {self.block_size}, got {self.chunk_tokens}"
            )

    @property
    def chunk_blocks(self) -> int:
        return self.chunk_tokens // self.block_size

    def chunk_keys(self, tokens: Sequence[int], adapter: str, salt: str) -> List[str]:
        """Keys of the full chunks of a prompt, as docs/KEYS.md makes those of blocks, in hex."""
        numbers = (self.world_size, self.block_size, self.chunk_tokens)
        seed = fingerprint("shoal/vllm/1", self.model, self.revision, self.dtype, *map(str, numbers))
        return [key.hex() for key in block_keys(tokens, seed, adapter, salt, block_tokens=self.chunk_tokens)]

    def layer_key(self, chunk: str, rank: int, layer: str) -> str:
        return f"vllm/{chunk}/{rank}of{self.world_size}/{layer}"

    def done_keys(self, chunk: str) -> List[str]:
        """Objects that are there once a chunk is: each rank writes its own after all its layers."""
        return [self.done_key(chunk, rank) for rank in range(self.world_size)]

    def done_key(self, chunk: str, rank: int) -> str:
        return f"vllm/{chunk}/{rank}of{self.world_size}/done"


@dataclass(frozen=True)
class Transfer:
    """One chunk that is loaded or saved in a step."""

    chunk: str
    block_ids: List[int]
    """The blocks of the chunk in the buffers; to be loaded, from block `first` of the chunk on."""
    first: int = 0


@dataclass
class Plan:
    loads: List[Transfer] = field(default_factory=list)
    saves: List[Transfer] = field(default_factory=list)


@dataclass
class Tracked:
    """A request that is computed."""

    keys: List[str]
    matched: int
    """Tokens that the fleet had when the scheduler asked."""
    load_from: Optional[int] = None
    """The first token to be loaded in the next step; None if there is none."""
    load_to: int = 0
    blocks: List[int] = field(default_factory=list)
    saved_chunks: int = 0
    """Chunks that are in the fleet, or on their way."""


class Planner:
    """The state of the scheduler's side."""

    def __init__(self, deployment: Deployment):
        self._deployment = deployment
        self._tracked: Dict[str, Tracked] = {}

    def found(self, request_id: str, keys: List[str], chunks: int) -> int:
        """The fleet has the first `chunks` chunks of a prompt. Gives their tokens."""
        matched = chunks * self._deployment.chunk_tokens
        self._tracked[request_id] = Tracked(keys, matched, saved_chunks=chunks)
        return matched

    def load(self, request_id: str, tokens: int) -> None:
        """The last `tokens` of what was found are to be loaded."""
        tracked = self._tracked[request_id]
        tracked.load_from, tracked.load_to = tracked.matched - tokens, tracked.matched

    def step(self, request_id: str, new_blocks: Sequence[int], resumed: bool, computed: int, plan: Plan) -> None:
        """A request is computed up to `computed` tokens in this step, in blocks of which these are new, or, if it was preempted, all."""
        tracked = self._tracked.get(request_id)
        if tracked is None:
            return
        tracked.blocks = list(new_blocks) if resumed else [*tracked.blocks, *new_blocks]
        if tracked.load_from is not None:
            plan.loads += self._loads(tracked)
            tracked.load_from = None
        chunk_tokens, chunk_blocks = self._deployment.chunk_tokens, self._deployment.chunk_blocks
        while tracked.saved_chunks < len(tracked.keys) and (tracked.saved_chunks + 1) * chunk_tokens <= computed:
            at = tracked.saved_chunks
            ids = tracked.blocks[at * chunk_blocks : (at + 1) * chunk_blocks]
            if len(ids) < chunk_blocks:
                break
            plan.saves.append(Transfer(tracked.keys[at], ids))
            tracked.saved_chunks += 1

    def finished(self, request_id: str) -> None:
        self._tracked.pop(request_id, None)

    def _loads(self, tracked: Tracked) -> List[Transfer]:
        size, per_chunk = self._deployment.block_size, self._deployment.chunk_blocks
        start, end = tracked.load_from // size, tracked.load_to // size
        loads = []
        for at in range(start // per_chunk, -(-end // per_chunk)):
            first = max(start, at * per_chunk)
            last = min(end, (at + 1) * per_chunk)
            loads.append(Transfer(tracked.keys[at], tracked.blocks[first:last], first - at * per_chunk))
        return loads
