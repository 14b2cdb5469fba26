"""K/V of prompt prefixes in a fleet, through redis-py: a URL is all that differs from a Redis server.

    pip install redis
    shoal up --redis-port 6380
    python examples/kv-cache/cache.py redis://127.0.0.1:6380

With API keys: redis://:KEY@127.0.0.1:6380
"""

import hashlib
import json
import secrets
import sys
import time

import redis

TTL_S = 600
"""How long a client that computes a layer holds the key: others wait at most so long for one that died."""
LEASE_MS = 10_000
POLL_S = 0.05


def key_of(model: str, prefix: str, layer: int) -> str:
    """The key of one layer. Everything that the bytes depend on is a part of it."""
    digest = hashlib.sha256(prefix.encode()).hexdigest()
    return f"kv:{model}:{digest}:{layer}"


def cache_kv(client: redis.Redis, key: str, keys: bytes, values: bytes, dtype: str, shape: list[int]) -> None:
    """Stores the K and V of a layer, with a header that says how to read them."""
    header = json.dumps({"dtype": dtype, "shape": shape, "k_bytes": len(keys)}).encode()
    client.set(key, len(header).to_bytes(4, "little") + header + keys + values, ex=TTL_S)


def get_cached_kv(client: redis.Redis, key: str) -> tuple[dict, bytes, bytes] | None:
    """The header, K and V of a layer; None if it is not there."""
    stored = client.get(key)
    if stored is None:
        return None
    start = 4 + int.from_bytes(stored[:4], "little")
    header = json.loads(stored[4:start])
    middle = start + header["k_bytes"]
    return header, stored[start:middle], stored[middle:]


def get_or_compute(client: redis.Redis, key: str, compute) -> tuple[dict, bytes, bytes]:
    """The layer from the cache, or from `compute`, which one client at a time runs for a key."""
    token = secrets.token_hex(8)
    while (found := get_cached_kv(client, key)) is None:
        if client.set(f"{key}:lease", token, nx=True, px=LEASE_MS):
            keys, values, dtype, shape = compute()
            cache_kv(client, key, keys, values, dtype, shape)
        else:
            time.sleep(POLL_S)
    return found


def main(url: str) -> None:
    client = redis.Redis.from_url(url)
    key = key_of("recall", "The quick brown fox", 0)
    client.delete(key, f"{key}:lease")
    computed = 0

    def compute():
        nonlocal computed
        computed += 1
        return bytes(range(256)) * 64, bytes(reversed(range(256))) * 64, "float16", [1, 8, 16, 64]

    for _ in range(2):
        header, keys, values = get_or_compute(client, key, compute)
        print(f"layer 0: {header['dtype']} {header['shape']}, K {len(keys)} bytes, V {len(values)} bytes")
    print(f"computed {computed} time, read {2 - computed} time from the fleet, for {client.ttl(key)} s more")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6380")
