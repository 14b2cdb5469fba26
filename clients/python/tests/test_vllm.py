"""The connector against a fake of vLLM's interface, over a real fleet at SHOAL_TEST_HTTP and SHOAL_TEST_REDIS."""

import os
import unittest
import uuid

import fake_vllm

fake_vllm.install()

from shoal_kv.errors import Unsupported  # noqa: E402
from shoal_kv.vllm_blocks import block_axis  # noqa: E402
from shoal_kv.vllm_connector import ShoalConnector  # noqa: E402

URLS = [os.environ[name] for name in ("SHOAL_TEST_HTTP", "SHOAL_TEST_REDIS") if name in os.environ]
LAYERS = ["model.layers.0.attn", "model.layers.1.attn"]
RANKS = 2
BLOCKS = 16
ROLE = fake_vllm.KVConnectorRole


class Engine:
    """A scheduler and its workers, with K/V that says which token it is of."""

    def __init__(self, url, salt, **extra):
        self.salt = salt
        self.scheduler = ShoalConnector(fake_vllm.config(url, **extra), ROLE.SCHEDULER, None)
        self.workers = [ShoalConnector(fake_vllm.config(url, rank=rank, **extra), ROLE.WORKER, None) for rank in range(RANKS)]
        self.buffers = [{name: [bytes(4)] * BLOCKS for name in LAYERS} for _ in range(RANKS)]
        for worker, buffers in zip(self.workers, self.buffers):
            worker.blocks = fake_vllm.ListBlocks()
            worker.register_kv_caches(buffers)

    def request(self, request_id, tokens, **more):
        return fake_vllm.request(request_id, tokens, cache_salt=self.salt, mm_features=[], **more)

    def run(self, output, compute=lambda rank, layer, buffer: None):
        """One step of all workers. Gives the blocks that could not be loaded."""
        meta = self.scheduler.build_connector_meta(output)
        failed = set()
        for rank, (worker, buffers) in enumerate(zip(self.workers, self.buffers)):
            worker.bind_connector_metadata(meta)
            worker.start_load_kv(None)
            for layer, name in enumerate(LAYERS):
                worker.wait_for_layer_load(name)
                compute(rank, layer, buffers[name])
                worker.save_kv_layer(name, buffers[name], None)
            worker.wait_for_save()
            failed |= worker.get_block_ids_with_load_errors()
            worker.clear_connector_metadata()
        return failed

    def close(self):
        for each in (self.scheduler, *self.workers):
            each.shutdown()


def value(rank, layer, block):
    return bytes([rank, layer, block, 7])


class Connector(unittest.TestCase):
    def engines(self):
        for url in URLS:
            salt = str(uuid.uuid4())
            engines = [Engine(url, salt), Engine(url, salt)]
            self.addCleanup(lambda engines=engines: [engine.close() for engine in engines])
            yield engines

    def fill(self, engine, tokens):
        """Computes a prompt in two steps, in blocks 5, 6, 7, ...; each has the number of its place in the prompt."""
        request = engine.request("a", tokens)
        self.assertEqual(engine.scheduler.get_num_new_matched_tokens(request, 0), (0, False))
        engine.scheduler.update_state_after_alloc(request, None, 0)

        def compute(rank, layer, buffer):
            for at in range(-(-len(tokens) // 4)):
                buffer[5 + at] = value(rank, layer, at)

        first = fake_vllm.step(new=[("a", [5, 6, 7], 0)], scheduled={"a": 12})
        self.assertEqual(engine.run(first, compute), set())
        second = fake_vllm.step(cached=[("a", [8, 9], 12, False)], scheduled={"a": len(tokens) - 12})
        self.assertEqual(engine.run(second, compute), set())
        engine.run(fake_vllm.step(finished=["a"]))

    def test_another_engine_loads_the_chunks_of_a_prompt_that_one_has_saved(self):
        tokens = list(range(100, 118))
        for one, other in self.engines():
            self.fill(one, tokens)
            request = other.request("b", [*tokens[:17], 1, 2])
            self.assertEqual(other.scheduler.get_num_new_matched_tokens(request, 0), (16, False))
            # The scheduler has four tokens of it already.
            self.assertEqual(other.scheduler.get_num_new_matched_tokens(request, 4), (12, False))
            other.scheduler.update_state_after_alloc(request, None, 12)
            output = fake_vllm.step(new=[("b", [2, 3, 1, 0, 4], 16)], scheduled={"b": 3})
            self.assertEqual(other.run(output), set())
            for rank in range(RANKS):
                for layer, name in enumerate(LAYERS):
                    expected = {3: value(rank, layer, 1), 1: value(rank, layer, 2), 0: value(rank, layer, 3)}
                    for block in range(BLOCKS):
                        self.assertEqual(other.buffers[rank][name][block], expected.get(block, bytes(4)))

    def test_the_whole_prompt_leaves_one_token_to_compute_and_other_prompts_share_nothing(self):
        tokens = list(range(16))
        for one, other in self.engines():
            self.fill(one, tokens)
            matched = lambda request: other.scheduler.get_num_new_matched_tokens(request, 0)[0]  # noqa: E731
            self.assertEqual(matched(other.request("b", tokens)), 8)
            self.assertEqual(matched(other.request("b", [9, *tokens[1:]])), 0)
            self.assertEqual(matched(fake_vllm.request("b", tokens, cache_salt="other", mm_features=[])), 0)
            lora = fake_vllm.SimpleNamespace(lora_name="l", lora_path="p")
            self.assertEqual(matched(other.request("b", tokens, lora_request=lora)), 0)
            self.assertEqual(matched(fake_vllm.request("b", tokens, cache_salt=other.salt, mm_features=["image"])), 0)
            self.assertEqual(matched(other.request("b", None)), 0)

    def test_a_preempted_request_loads_into_its_new_blocks(self):
        tokens = list(range(40, 58))
        for one, other in self.engines():
            self.fill(one, tokens)
            request = other.request("b", tokens)
            other.scheduler.get_num_new_matched_tokens(request, 0)
            other.scheduler.update_state_after_alloc(request, None, 16)
            other.run(fake_vllm.step(new=[("b", [0, 1, 2, 3, 4], 16)], scheduled={"b": 2}))
            other.scheduler.get_num_new_matched_tokens(request, 0)
            other.scheduler.update_state_after_alloc(request, None, 16)
            other.run(fake_vllm.step(cached=[("b", [10, 11, 12, 13, 14], 16, True)], scheduled={"b": 2}))
            for block in range(4):
                self.assertEqual(other.buffers[1][LAYERS[1]][10 + block], value(1, 1, block))

    def test_a_chunk_that_has_gone_meanwhile_is_computed_again(self):
        tokens = list(range(60, 78))
        for one, other in self.engines():
            self.fill(one, tokens)
            request = other.request("b", tokens)
            self.assertEqual(other.scheduler.get_num_new_matched_tokens(request, 0), (16, False))
            other.scheduler.update_state_after_alloc(request, None, 16)
            worker = other.workers[1]
            keys = other.scheduler._keys_of(request)
            worker._transport.delete(worker._deployment.layer_key(keys[1], 1, LAYERS[0]))
            worker._transport.put(worker._deployment.layer_key(keys[0], 1, LAYERS[1]), [b"damaged"])
            failed = other.run(fake_vllm.step(new=[("b", [0, 1, 2, 3, 4], 16)], scheduled={"b": 2}))
            self.assertEqual(failed, {0, 1, 2, 3})
            # Neither chunk is offered again before it is stored again.
            self.assertEqual(one.scheduler.get_num_new_matched_tokens(one.request("c", tokens), 0), (0, False))
            self.fill(one, tokens)
            self.assertEqual(one.scheduler.get_num_new_matched_tokens(one.request("c", tokens), 0), (16, False))

    def test_a_chunk_counts_once_all_ranks_have_it(self):
        tokens = list(range(80, 98))
        for one, other in self.engines():
            self.fill(one, tokens)
            request = other.request("b", tokens)
            keys = other.scheduler._keys_of(request)
            deployment = other.workers[1]._deployment
            other.workers[1]._transport.delete(deployment.done_key(keys[1], 1))
            self.assertEqual(other.scheduler.get_num_new_matched_tokens(request, 0), (8, False))

    def test_an_engine_goes_on_without_a_fleet(self):
        engine = Engine("http://127.0.0.1:1", "")
        self.addCleanup(engine.close)
        self.fill(engine, list(range(18)))

    def test_says_what_it_cannot_do(self):
        with self.assertRaisesRegex(ValueError, "multiple of vLLM's block size"):
            ShoalConnector(fake_vllm.config("http://127.0.0.1:1", shoal_chunk_tokens=10), ROLE.SCHEDULER, None)
        groups = fake_vllm.SimpleNamespace(kv_cache_groups=[1, 2], num_blocks=16)
        with self.assertRaises(Unsupported):
            ShoalConnector(fake_vllm.config("http://127.0.0.1:1"), ROLE.SCHEDULER, groups)
        self.assertEqual([block_axis((2, 16, 4, 8, 64), 16), block_axis((16, 4, 576), 16)], [1, 0])
        self.assertEqual(block_axis((2, 4, 8, 64), 2), 0)
        with self.assertRaises(Unsupported):
            block_axis((3, 5), 16)


if __name__ == "__main__":
    unittest.main()
