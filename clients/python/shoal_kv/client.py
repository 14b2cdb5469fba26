"""The client for layers under a prefix."""

import threading
import time
import uuid
from typing import Any, Dict, Optional, Tuple, Union

from .errors import Corrupt, ShoalError
from .keys import KVScope, Prefix, layer_key
from .layer import Tensor, pack, unpack
from .transport import TIMEOUT_S, open_transport


class ShoalKV:
    """K/V of layers under a prefix, in a fleet. May be used by several threads at once.

    `url`: `http://HOST:8080` of a coordinator, or `redis://:KEY@HOST:6380` of any member. `model`: a text, or a KVScope, that names all that the
    bytes depend on beside the prefix. Layers under a text as `model` are the same objects as those of the TypeScript client.
    """

    def __init__(
        self,
        url: str,
        model: Union[str, KVScope],
        api_key: Optional[str] = None,
        ttl_s: Optional[float] = None,
        timeout_s: float = TIMEOUT_S,
    ):
        self._model = model.name if isinstance(model, KVScope) else model
        self._ttl_s = ttl_s
        self._transport = open_transport(url, api_key, timeout_s)
        self._lock = threading.Lock()
        self._counts = {"hits": 0, "misses": 0, "puts": 0, "bytes_read": 0, "bytes_written": 0}

    def __enter__(self) -> "ShoalKV":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def cache_kv(self, prefix: Prefix, layer: int, k_tensor: Any, v_tensor: Any, layout: Optional[str] = None) -> None:
        """Stores a layer, as it is, in place of an older one. Raises Overloaded if there is no room."""
        pieces = pack(Tensor.of(k_tensor, layout), Tensor.of(v_tensor, layout))
        self._transport.put(layer_key(self._model, prefix, layer), pieces, self._ttl_s)
        self._count(puts=1, bytes_written=sum(len(piece) for piece in pieces))

    def get_cached_kv(self, prefix: Prefix, layer: int) -> Optional[Tuple[Tensor, Tensor]]:
        """K and V of a layer; None if it is not there. `Tensor.numpy` and `Tensor.torch` convert them."""
        data = self._transport.get(layer_key(self._model, prefix, layer))
        if data is None:
            self._count(misses=1)
            return None
        self._count(hits=1, bytes_read=len(data))
        return unpack(data)

    def has(self, prefix: Prefix, layer: int) -> bool:
        return self._transport.exists([layer_key(self._model, prefix, layer)])[0]

    def delete(self, prefix: Prefix, layer: int) -> bool:
        """False if it was not there."""
        return self._transport.delete(layer_key(self._model, prefix, layer))

    def get_stats(self) -> Dict[str, float]:
        """What this client has done so far."""
        with self._lock:
            counts = dict(self._counts)
        reads = counts["hits"] + counts["misses"]
        return {**counts, "hit_rate": counts["hits"] / reads if reads else 0.0}

    def get_memory_usage(self) -> Dict[str, int]:
        """`objects`, `bytes`, `budget_bytes` and `evicted`: over HTTP those of all workers, over the Redis protocol those of one process."""
        return self._transport.memory()

    def health_check(self) -> Dict[str, Any]:
        """Writes, reads and deletes an object. Raises nothing: `connected` is False, with `error`, if that fails."""
        key = f"health/{uuid.uuid4()}"
        started = time.monotonic()
        try:
            self._transport.put(key, [key.encode()], 60)
            written = time.monotonic()
            if self._transport.get(key) != key.encode():
                raise Corrupt("the fleet gave other bytes than were written")
            read = time.monotonic()
            self._transport.delete(key)
            memory = self.get_memory_usage()
        except ShoalError as error:
            return {"connected": False, "error": str(error)}
        return {
            "connected": True,
            "write_ms": 1000 * (written - started),
            "read_ms": 1000 * (read - written),
            "memory": memory,
        }

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, value in more.items():
                self._counts[name] += value
