"""Keys: of layers under a prefix, as the TypeScript client makes them (docs/KV.md), and of blocks of tokens (docs/KEYS.md)."""

import hashlib
import json
import struct
from dataclasses import dataclass
from typing import List, Sequence, Tuple, Union
from urllib.parse import quote

Prefix = Union[str, bytes, Sequence[int]]
"""A text, token ids, or the key of a block, as `block_keys` gives it."""

# What JavaScript's encodeURIComponent leaves as it is, beside letters and digits.
_UNRESERVED = "-_.!~*'()"


def prefix_hash(prefix: Prefix) -> str:
    """SHA-256 of a prefix, in hex. A text, token ids and a key never have the same."""
    if isinstance(prefix, str):
        data = b"text\0" + prefix.encode()
    elif isinstance(prefix, bytes):
        data = b"key\0" + prefix.hex().encode()
    else:
        data = b"tokens\0" + json.dumps([int(token) for token in prefix], separators=(",", ":")).encode()
    return hashlib.sha256(data).hexdigest()


def layer_key(model: str, prefix: Prefix, layer: int) -> str:
    """The key of the K/V of one layer."""
    return f"layer/{quote(model, safe=_UNRESERVED)}/{prefix_hash(prefix)}/{layer}"


@dataclass(frozen=True)
class KVScope:
    """All that K/V depends on beside the prefix. `name` is the `model` of a client."""

    model: str
    dtype: str
    tp_rank: int = 0
    tp_size: int = 1
    block_size: int = 0
    adapter: str = ""
    salt: str = ""

    @property
    def name(self) -> str:
        """One text for each scope, and another for any other."""
        texts = [quote(text, safe="") for text in (self.model, self.dtype, self.adapter, self.salt)]
        numbers = f"tp{self.tp_rank}of{self.tp_size}/block{self.block_size}"
        return f"{texts[0]}/{texts[1]}/{numbers}/adapter-{texts[2]}/salt-{texts[3]}"


def field(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def fingerprint(*texts: str) -> str:
    """SHA-256 over texts, as 64 hex digits: seeds the keys of blocks."""
    return hashlib.sha256(b"".join(field(text.encode()) for text in texts)).hexdigest()


def _label(salt: str) -> bytes:
    owner = hashlib.sha256(b"shoal/owner/1\0" + salt.split(":")[0].encode()).digest()
    return owner[:4] + hashlib.sha256(b"shoal/salt/1\0" + salt.encode()).digest()[:4]


def block_keys(
    tokens: Sequence[int],
    fingerprint: str,
    adapter: str = "",
    salt: str = "",
    layers: Sequence[Tuple[str, int]] = (),
    block_tokens: int = 64,
) -> List[bytes]:
    """The keys of the full blocks of a prompt. `layers`: pairs of a salt and the number of blocks up to its end."""
    ends = [] if adapter else list(layers)
    keys: List[bytes] = []
    for i in range(len(tokens) // block_tokens):
        own = field(struct.pack(f"<{block_tokens}I", *tokens[i * block_tokens : (i + 1) * block_tokens]))
        mine = next((name for name, end in ends if end > i), salt)
        if i == 0:
            before = b"".join(field(text.encode()) for text in ("shoal/block/first/2", fingerprint, adapter, mine))
        elif any(end == i for _, end in ends):
            before = field(b"shoal/block/layer/2") + field(keys[-1]) + field(mine.encode())
        else:
            before = field(b"shoal/block/next/2") + field(keys[-1])
        keys.append(hashlib.sha256(before + own).digest()[:24] + _label(mine))
    return keys
