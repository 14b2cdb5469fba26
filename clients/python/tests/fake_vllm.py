"""The parts of vLLM's interface that the connector touches, in the shape of vllm/distributed/kv_transfer/kv_connector/v1/base.py."""

import enum
import sys
import types
from abc import ABC, abstractmethod
from types import SimpleNamespace


class KVConnectorRole(enum.Enum):
    SCHEDULER = 0
    WORKER = 1


class KVConnectorMetadata(ABC):
    pass


class KVConnectorBase_V1(ABC):
    def __init__(self, vllm_config, role, kv_cache_config):
        self._connector_metadata = None
        self._role = role

    def bind_connector_metadata(self, connector_metadata):
        self._connector_metadata = connector_metadata

    def clear_connector_metadata(self):
        self._connector_metadata = None

    def _get_connector_metadata(self):
        assert self._connector_metadata is not None
        return self._connector_metadata

    @abstractmethod
    def start_load_kv(self, forward_context, **kwargs): ...

    @abstractmethod
    def wait_for_layer_load(self, layer_name): ...

    @abstractmethod
    def save_kv_layer(self, layer_name, kv_layer, attn_metadata, **kwargs): ...

    @abstractmethod
    def wait_for_save(self): ...

    @abstractmethod
    def get_num_new_matched_tokens(self, request, num_computed_tokens): ...

    @abstractmethod
    def update_state_after_alloc(self, request, blocks, num_external_tokens): ...

    @abstractmethod
    def build_connector_meta(self, scheduler_output): ...


def install():
    path = "vllm.distributed.kv_transfer.kv_connector.v1.base"
    names = path.split(".")
    for end in range(1, len(names) + 1):
        sys.modules.setdefault(".".join(names[:end]), types.ModuleType(names[end - 1]))
    base = sys.modules[path]
    base.KVConnectorRole = KVConnectorRole
    base.KVConnectorMetadata = KVConnectorMetadata
    base.KVConnectorBase_V1 = KVConnectorBase_V1


def config(url, rank=0, world=2, block_size=4, **extra):
    options = {"shoal_url": url, "shoal_chunk_tokens": 8, **extra}
    return SimpleNamespace(
        model_config=SimpleNamespace(model="some/model", revision=None, dtype="torch.float16"),
        cache_config=SimpleNamespace(cache_dtype="auto", block_size=block_size, num_gpu_blocks=16),
        parallel_config=SimpleNamespace(world_size=world, rank=rank),
        kv_transfer_config=SimpleNamespace(get_from_extra_config=lambda key, default: options.get(key, default)),
    )


def request(request_id, tokens, **more):
    return SimpleNamespace(request_id=request_id, prompt_token_ids=tokens, **more)


def step(new=(), cached=(), scheduled=None, finished=()):
    """A SchedulerOutput. `new`: (id, block ids, computed tokens); `cached`: (id, new block ids or None, computed tokens, resumed)."""
    return SimpleNamespace(
        scheduled_new_reqs=[
            SimpleNamespace(req_id=req_id, block_ids=(blocks,), num_computed_tokens=computed)
            for req_id, blocks, computed in new
        ],
        scheduled_cached_reqs=SimpleNamespace(
            req_ids=[row[0] for row in cached],
            new_block_ids=[None if row[1] is None else (row[1],) for row in cached],
            num_computed_tokens=[row[2] for row in cached],
            resumed_req_ids={row[0] for row in cached if row[3]},
        ),
        num_scheduled_tokens=scheduled or {},
        finished_req_ids=set(finished),
    )


class ListBlocks:
    """In the place of torch: a buffer is a list of blocks, which are bytes."""

    def read(self, buffer, ids):
        return [buffer[at] for at in ids]

    def write(self, buffer, ids, data):
        for at, block in zip(ids, data):
            assert len(block) == len(buffer[at])
            buffer[at] = block
