"""The client on a real fleet: SHOAL_TEST_HTTP and SHOAL_TEST_REDIS are its addresses. What TypeScript wrote is described in SHOAL_TEST_LAYERS."""

import json
import os
import struct
import threading
import unittest

from shoal_kv import Corrupt, KVScope, ShoalKV, Tensor, Unavailable, Unsupported
from shoal_kv.casts import decompress_lz4
from shoal_kv.layer import pack, unpack

URLS = [os.environ[name] for name in ("SHOAL_TEST_HTTP", "SHOAL_TEST_REDIS") if name in os.environ]
NOWHERE = ["http://127.0.0.1:1", "redis://127.0.0.1:1"]


def tensor(first: int, shape=(2, 3, 4)) -> Tensor:
    count = shape[0] * shape[1] * shape[2]
    return Tensor("float16", shape, struct.pack(f"<{count}e", *range(first, first + count)), "htd")


class Client(unittest.TestCase):
    def test_keeps_layers_of_prefixes_and_models_apart(self):
        for url in URLS:
            with ShoalKV(url, f"py {url}") as kv, ShoalKV(url, KVScope("m", "float16", tp_size=2)) as other:
                kv.cache_kv("a prompt", 0, tensor(1), tensor(2))
                kv.cache_kv([1, 2], 0, tensor(3), tensor(4))
                self.assertEqual(kv.get_cached_kv("a prompt", 0), (tensor(1), tensor(2)))
                self.assertEqual(kv.get_cached_kv([1, 2], 0), (tensor(3), tensor(4)))
                self.assertIsNone(kv.get_cached_kv("[1,2]", 0))
                self.assertFalse(other.has("a prompt", 0))
                self.assertTrue(kv.delete("a prompt", 0))
                self.assertFalse(kv.delete("a prompt", 0))
                stats = kv.get_stats()
                self.assertEqual((stats["hits"], stats["misses"], stats["puts"]), (2, 1, 2))
                self.assertAlmostEqual(stats["hit_rate"], 2 / 3)

    def test_moves_layers_of_many_megabytes_in_threads(self):
        big = Tensor("float32", (3 << 20,), bytes(range(256)) * (3 << 14))
        for url in URLS:
            with ShoalKV(url, "big", ttl_s=60) as kv:
                threads = [threading.Thread(target=kv.cache_kv, args=("p", at, big, tensor(at))) for at in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                for at in range(4):
                    self.assertEqual(kv.get_cached_kv("p", at), (big, tensor(at)))

    def test_tells_of_health_and_memory(self):
        for url in URLS:
            with ShoalKV(url, "m") as kv:
                health = kv.health_check()
                self.assertTrue(health["connected"], health)
                self.assertGreater(health["memory"]["budget_bytes"], 0)
                usage = kv.get_memory_usage()
                self.assertEqual(set(usage), {"objects", "bytes", "budget_bytes", "evicted"})
                self.assertEqual(usage["evicted"], 0)
        for url in NOWHERE:
            with ShoalKV(url, "m") as kv:
                self.assertFalse(kv.health_check()["connected"])
                with self.assertRaises(Unavailable):
                    kv.get_cached_kv("p", 0)

    def test_reads_what_another_client_stored_in_every_encoding(self):
        layers = json.loads(os.environ.get("SHOAL_TEST_LAYERS", "[]"))
        for url in URLS:
            with ShoalKV(url, "from typescript/1!") as kv:
                for at, layer in enumerate(layers):
                    try:
                        k, _ = kv.get_cached_kv("a prompt", at)
                    except Unsupported as error:
                        self.assertIn("zstd", str(error))
                        continue
                    self.assertEqual((k.dtype, list(k.shape), k.data.hex()), (layer["dtype"], layer["shape"], layer["hex"]))

    def test_writes_what_another_client_reads(self):
        for at, url in enumerate(URLS):
            with ShoalKV(url, "from python") as kv:
                kv.cache_kv([5, 6], at, tensor(1), tensor(2))
                kv.cache_kv(b"\xab" * 32, at, tensor(1), tensor(2))


class Layers(unittest.TestCase):
    def test_damaged_bytes_are_corrupt(self):
        data = b"".join(pack(tensor(1), tensor(2)))
        self.assertEqual(unpack(data), (tensor(1), tensor(2)))
        for at in range(len(data)):
            for byte in (0, 0x39, 0xFF):
                changed = data[:at] + bytes([byte]) + data[at + 1 :]
                try:
                    k, v = unpack(changed)
                    self.assertLessEqual(len(k.data) + len(v.data), len(data))
                except (Corrupt, Unsupported):
                    pass
        for length in range(0, len(data), 7):
            with self.assertRaises(Corrupt):
                unpack(data[:length])

    def test_a_bomb_is_corrupt_before_memory_is_taken(self):
        part = {"dtype": "float32", "shape": [1 << 40], "bytes": 0}
        part["compression"] = {"name": "lz4", "bytes": 1 << 42, "shuffle": 4}
        header = json.dumps({"k": part, "v": part}).encode()
        with self.assertRaises(Corrupt):
            unpack(len(header).to_bytes(4, "little") + header)
        with self.assertRaises(Corrupt):
            decompress_lz4(b"\x1fx\x01\x00" + b"\xff" * 1000 + b"\x00", 100)

    def test_a_block_of_the_reference_implementation_of_lz4_is_read(self):
        block = bytes.fromhex("1f780100ff1360787878787878")
        self.assertEqual(decompress_lz4(block, 300), b"x" * 300)

    def test_a_wrong_tensor_is_named(self):
        with self.assertRaisesRegex(Unsupported, "k: float16"):
            pack(Tensor("float16", (3,), b"12"), tensor(1))
        with self.assertRaisesRegex(Unsupported, "not list"):
            Tensor.of([1, 2])


if __name__ == "__main__":
    unittest.main()
