"""A KV connector for vLLM (`KVConnectorBase_V1`): chunks of prompts whose K/V a fleet of shoal keeps.

    vllm serve MODEL --kv-transfer-config '{"kv_connector": "ShoalConnector", "kv_role": "kv_both",
        "kv_connector_module_path": "shoal_kv.vllm_connector", "kv_load_failure_policy": "recompute",
        "kv_connector_extra_config": {"shoal_url": "redis://127.0.0.1:6380"}}'

Options: `shoal_url`, `shoal_api_key`, `shoal_chunk_tokens` (256), `shoal_ttl_s`, `shoal_timeout_s` (5).
A chunk that cannot be read is reported as blocks with load errors, which vLLM computes again under that policy; its default ends the request.
"""

import inspect
import json
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Set, Tuple

from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorBase_V1,
    KVConnectorMetadata,
    KVConnectorRole,
)

from .errors import Corrupt, ShoalError, Unsupported
from .transport import open_transport
from .vllm_blocks import TorchBlocks
from .vllm_plan import Deployment, Plan, Planner, Transfer

logger = logging.getLogger(__name__)

CHUNK_TOKENS = 256
TIMEOUT_S = 5.0
AT_ONCE = 8


@dataclass
class ShoalConnectorMetadata(KVConnectorMetadata):
    plan: Plan = field(default_factory=Plan)


class ShoalConnector(KVConnectorBase_V1):
    def __init__(self, vllm_config: Any, role: Any, kv_cache_config: Any = None):
        # Older versions of vLLM know no third argument.
        known = len(inspect.signature(KVConnectorBase_V1.__init__).parameters) - 1
        super().__init__(*(vllm_config, role, kv_cache_config)[:known])
        groups = getattr(kv_cache_config, "kv_cache_groups", None)
        if groups is not None and len(groups) > 1:
            raise Unsupported("models with several kinds of K/V are not supported: their groups have blocks of their own")
        extra = vllm_config.kv_transfer_config.get_from_extra_config
        self._deployment = _deployment(vllm_config, int(extra("shoal_chunk_tokens", CHUNK_TOKENS)))
        self._rank = int(getattr(vllm_config.parallel_config, "rank", 0)) % self._deployment.world_size
        self._ttl_s = extra("shoal_ttl_s", None)
        url, api_key = extra("shoal_url", "http://127.0.0.1:8080"), extra("shoal_api_key", None)
        self._transport = open_transport(url, api_key, float(extra("shoal_timeout_s", TIMEOUT_S)))
        self._planner = Planner(self._deployment) if role == KVConnectorRole.SCHEDULER else None
        blocks = getattr(kv_cache_config, "num_blocks", None) or vllm_config.cache_config.num_gpu_blocks
        self.blocks = TorchBlocks(blocks)
        self._buffers: Dict[str, Any] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="shoal-kv")
        self._loading: Dict[str, List[Tuple[Transfer, Future]]] = {}
        self._saving: List[Tuple[Transfer, Future]] = []
        self._failed: Set[int] = set()

    @property
    def requires_kv_delivery(self) -> bool:
        # What is not stored is computed again.
        return False

    @classmethod
    def requires_piecewise_for_cudagraph(cls, extra_config: Dict[str, Any]) -> bool:
        return True

    # The scheduler's side.

    def get_num_new_matched_tokens(self, request: Any, num_computed_tokens: int) -> Tuple[Optional[int], bool]:
        keys = self._keys_of(request)
        matched = self._planner.found(request.request_id, keys, self._chunks_there(request, keys))
        return max(0, matched - num_computed_tokens), False

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        if num_external_tokens > 0:
            self._planner.load(request.request_id, num_external_tokens)

    def build_connector_meta(self, scheduler_output: Any) -> ShoalConnectorMetadata:
        meta = ShoalConnectorMetadata()
        scheduled = scheduler_output.num_scheduled_tokens
        for request_id in scheduler_output.finished_req_ids:
            self._planner.finished(request_id)
        for new in scheduler_output.scheduled_new_reqs:
            computed = new.num_computed_tokens + scheduled[new.req_id]
            self._planner.step(new.req_id, new.block_ids[0], True, computed, meta.plan)
        cached = scheduler_output.scheduled_cached_reqs
        for at, request_id in enumerate(cached.req_ids):
            computed = cached.num_computed_tokens[at] + scheduled[request_id]
            blocks = cached.new_block_ids[at]
            new_blocks = [] if blocks is None else blocks[0]
            self._planner.step(request_id, new_blocks, _resumed(cached, at), computed, meta.plan)
        return meta

    def request_finished(self, request: Any, block_ids: List[int]) -> Tuple[bool, Optional[Dict[str, Any]]]:
        self._planner.finished(request.request_id)
        return False, None

    def _keys_of(self, request: Any) -> List[str]:
        """Keys of the chunks that end before the last token of the prompt, which has to be computed."""
        tokens = request.prompt_token_ids
        # Placeholders of images have the same tokens, whatever the image is; embeddings have none.
        if tokens is None or getattr(request, "mm_features", None):
            return []
        lora = getattr(request, "lora_request", None)
        adapter = "" if lora is None else f"{lora.lora_name}@{getattr(lora, 'lora_path', '')}"
        return self._deployment.chunk_keys(tokens[:-1], adapter, getattr(request, "cache_salt", None) or "")

    def _chunks_there(self, request: Any, keys: List[str]) -> int:
        if not keys:
            return 0
        ranks = self._deployment.world_size
        try:
            there = self._transport.exists([key for chunk in keys for key in self._deployment.done_keys(chunk)])
        except ShoalError as error:
            logger.warning("shoal: request %s is computed without the fleet: %s", request.request_id, error)
            return 0
        whole = [all(there[at * ranks : (at + 1) * ranks]) for at in range(len(keys))]
        return whole.index(False) if False in whole else len(whole)

    # The worker's side.

    def register_kv_caches(self, kv_caches: Dict[str, Any]) -> None:
        self._buffers = dict(kv_caches)

    def start_load_kv(self, forward_context: Any, **kwargs: Any) -> None:
        self._loading = {name: [] for name in self._buffers}
        for load in self._get_connector_metadata().plan.loads:
            for name in self._buffers:
                key = self._deployment.layer_key(load.chunk, self._rank, name)
                self._loading[name].append((load, self._pool.submit(self._transport.get, key)))

    def wait_for_layer_load(self, layer_name: str) -> None:
        for load, coming in self._loading.pop(layer_name, []):
            try:
                self._write(layer_name, load, coming.result())
            except ShoalError as error:
                logger.warning("shoal: a chunk of %s is computed again: %s", layer_name, error)
                self._failed.update(load.block_ids)
                if isinstance(error, Corrupt):
                    self._withdraw(load.chunk)

    def save_kv_layer(self, layer_name: str, kv_layer: Any, attn_metadata: Any, **kwargs: Any) -> None:
        for save in self._get_connector_metadata().plan.saves:
            blocks = self.blocks.read(kv_layer, save.block_ids)
            header = json.dumps([len(block) for block in blocks]).encode()
            pieces = [len(header).to_bytes(4, "little"), header, *blocks]
            key = self._deployment.layer_key(save.chunk, self._rank, layer_name)
            self._saving.append((save, self._pool.submit(self._transport.put, key, pieces, self._ttl_s)))

    def wait_for_save(self) -> None:
        saving, self._saving = self._saving, []
        failed: Dict[str, ShoalError] = {}
        for save, going in saving:
            try:
                going.result()
            except ShoalError as error:
                failed[save.chunk] = error
        for chunk in dict.fromkeys(save.chunk for save, _ in saving):
            try:
                if chunk in failed:
                    raise failed[chunk]
                self._transport.put(self._deployment.done_key(chunk, self._rank), [b"1"], self._ttl_s)
            except ShoalError as error:
                logger.warning("shoal: a chunk was not stored: %s", error)

    def get_block_ids_with_load_errors(self) -> Set[int]:
        failed, self._failed = self._failed, set()
        return failed

    def shutdown(self) -> None:
        self._pool.shutdown()
        self._transport.close()

    def _withdraw(self, chunk: str) -> None:
        """A chunk that lacks something counts no more, so that the next request stores it again."""
        try:
            self._transport.delete(self._deployment.done_key(chunk, self._rank))
        except ShoalError as error:
            logger.warning("shoal: a damaged chunk is still announced: %s", error)

    def _write(self, layer_name: str, load: Transfer, data: Optional[bytes]) -> None:
        if data is None:
            raise Corrupt("the fleet has it no longer")
        blocks = _blocks_in(data)[load.first : load.first + len(load.block_ids)]
        if len(blocks) != len(load.block_ids):
            raise Corrupt("it has other blocks than this deployment stores")
        self.blocks.write(self._buffers[layer_name], load.block_ids, blocks)


def _blocks_in(data: bytes) -> List[bytes]:
    try:
        start = 4 + int.from_bytes(data[:4], "little")
        sizes = json.loads(data[4:start])
        blocks = []
        for size in sizes:
            blocks.append(data[start : start + size])
            start += size
    except (ValueError, TypeError) as error:
        raise Corrupt("its header is damaged") from error
    if start != len(data):
        raise Corrupt("it has another length than its header says")
    return blocks


def _deployment(vllm_config: Any, chunk_tokens: int) -> Deployment:
    model, cache = vllm_config.model_config, vllm_config.cache_config
    dtype = cache.cache_dtype if cache.cache_dtype != "auto" else str(model.dtype)
    revision = getattr(model, "revision", None) or ""
    size = vllm_config.parallel_config.world_size
    return Deployment(model.model, revision, dtype, size, cache.block_size, chunk_tokens)


def _resumed(cached: Any, at: int) -> bool:
    """Whether a request comes back from preemption, in any version of vLLM."""
    resumed = getattr(cached, "resumed_req_ids", None)
    if resumed is not None:
        return cached.req_ids[at] in resumed
    return bool(cached.resumed_from_preemption[at])
