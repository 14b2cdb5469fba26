"""K/V of prompt prefixes in a fleet of shoal. Needs the standard library alone; takes numpy and torch tensors where these are installed."""

from .client import ShoalKV
from .errors import Corrupt, Overloaded, Refused, ShoalError, Unavailable, Unsupported
from .keys import KVScope, block_keys, layer_key, prefix_hash
from .layer import Tensor

__all__ = [
    "Corrupt",
    "KVScope",
    "Overloaded",
    "Refused",
    "ShoalError",
    "ShoalKV",
    "Tensor",
    "Unavailable",
    "Unsupported",
    "block_keys",
    "layer_key",
    "prefix_hash",
]
