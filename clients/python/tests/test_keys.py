"""Keys, by the vectors of docs/KEYS.md and the examples of docs/KV.md."""

import json
import pathlib
import unittest

from shoal_kv import KVScope, block_keys, layer_key, prefix_hash

VECTORS = pathlib.Path(__file__).resolve().parents[3] / "test" / "vectors" / "keys.json"


class Keys(unittest.TestCase):
    def test_blocks_have_the_keys_of_the_vectors(self):
        vectors = json.loads(VECTORS.read_text())["vectors"]
        self.assertGreater(len(vectors), 3)
        for vector in vectors:
            salt, layers = vector["salt"], ()
            if isinstance(salt, dict):
                layers = [(layer["salt"], layer["blocks"]) for layer in salt["layers"]]
                salt = salt["own"]
            keys = block_keys(
                vector["tokens"], vector["fingerprint"], vector["adapter"], salt, layers, vector["blockTokens"]
            )
            self.assertEqual([key.hex() for key in keys], vector["keys"])

    def test_a_text_and_tokens_are_never_the_same_prefix(self):
        self.assertNotEqual(prefix_hash("[1,2]"), prefix_hash([1, 2]))
        self.assertEqual(layer_key("a b/c!", "p", 3), f"layer/a%20b%2Fc!/{prefix_hash('p')}/3")

    def test_a_scope_has_another_name_for_each_of_its_parts(self):
        base = dict(model="m", dtype="float16", tp_rank=0, tp_size=2, block_size=16, adapter="a", salt="s")
        others = [
            {"model": "m/float16"},
            {"dtype": "int8"},
            {"tp_rank": 1},
            {"tp_size": 4},
            {"block_size": 32},
            {"adapter": "a/salt-s"},
            {"salt": ""},
        ]
        names = {KVScope(**base).name} | {KVScope(**{**base, **other}).name for other in others}
        self.assertEqual(len(names), len(others) + 1)


if __name__ == "__main__":
    unittest.main()
