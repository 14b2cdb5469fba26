"""Measures onnxruntime-genai on the benchmarks' model.

usage: genai.py MODEL_FOLDER cpu|cuda|webgpu ROUNDS     the prompt and the decoding of `shoal bench device`, as one report in JSON
       genai.py MODEL_FOLDER serve THREADS              one measurement for each line of JSON on the standard input, on the CPU
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time

import numpy
import onnxruntime_genai as og

PROMPT_TOKENS = 1056
BATCH_PROMPT_TOKENS = 128
STEPS = 64


def fill_folder(made, folder, device, threads=None):
    """Puts the graph and a genai_config.json for it into a folder; the graph's names are those of optimum's exports."""
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    source = os.path.join(os.path.realpath(folder), "onnx")
    for name in os.listdir(source):
        os.symlink(os.path.join(source, name), os.path.join(made, name))
    providers = [] if device == "cpu" else [{device: {}}]
    decoder = {
        "filename": "model.onnx",
        "session_options": {"provider_options": providers, **({} if threads is None else {"intra_op_num_threads": threads})},
        "head_size": config["head_dim"],
        "hidden_size": config["hidden_size"],
        "num_attention_heads": config["num_attention_heads"],
        "num_hidden_layers": config["num_hidden_layers"],
        "num_key_value_heads": config["num_key_value_heads"],
        "inputs": {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
        },
        "outputs": {"logits": "logits", "present_key_names": "present.%d.key", "present_value_names": "present.%d.value"},
    }
    context = config["max_position_embeddings"]
    model = {
        "type": "llama",
        "vocab_size": config["vocab_size"],
        "context_length": context,
        # No token that the model chooses may end the measurement.
        "eos_token_id": config["vocab_size"] - 1,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "decoder": decoder,
    }
    search = {"past_present_share_buffer": True, "max_length": context, "do_sample": False}
    with open(os.path.join(made, "genai_config.json"), "w") as file:
        json.dump({"model": model, "search": search}, file)


def generated(model, prompt_tokens, steps):
    """Milliseconds until the first token, and tokens per second after it."""
    params = og.GeneratorParams(model)
    params.set_search_options(max_length=prompt_tokens + steps + 1, min_length=prompt_tokens + steps + 1)
    generator = og.Generator(model, params)
    start = time.perf_counter()
    generator.append_tokens(random_tokens(prompt_tokens))
    generator.generate_next_token()
    first = time.perf_counter()
    for _ in range(steps):
        generator.generate_next_token()
    end = time.perf_counter()
    return 1000 * (first - start), steps / (end - first)


def row(name, unit, samples):
    return {
        "name": name,
        "unit": unit,
        "median": statistics.median(samples),
        "min": min(samples),
        "max": max(samples),
        "samples": len(samples),
    }


def random_tokens(count):
    return [random.randrange(256, 7256) for _ in range(count)]


class Served:
    """The measurements that `bench/genai.ts` asks for."""

    def __init__(self, model):
        self.model = model
        self.kept = None

    def decode(self, prompt_tokens, steps, rows):
        """Tokens per second of so many rows together, after the first token of each."""
        params = og.GeneratorParams(self.model)
        length = prompt_tokens + steps + 1
        params.set_search_options(max_length=length, min_length=length, batch_size=rows)
        generator = og.Generator(self.model, params)
        prompts = [random_tokens(prompt_tokens) for _ in range(rows)]
        generator.append_tokens(prompts[0] if rows == 1 else numpy.array(prompts, dtype=numpy.int32))
        generator.generate_next_token()
        start = time.perf_counter()
        for _ in range(steps):
            generator.generate_next_token()
        return rows * steps / (time.perf_counter() - start)

    def cold(self, tokens):
        """Milliseconds to the first token of a prompt of which nothing is known."""
        params = og.GeneratorParams(self.model)
        params.set_search_options(max_length=tokens + 2, min_length=tokens + 2)
        generator = og.Generator(self.model, params)
        return self.first_token(generator, tokens)

    def hit(self, shared_tokens, own_tokens):
        """Milliseconds to the first token of a prompt whose shared tokens are in a buffer that is kept from one call to the next."""
        if self.kept is None:
            params = og.GeneratorParams(self.model)
            params.set_search_options(max_length=shared_tokens + own_tokens + 2, min_length=shared_tokens + own_tokens + 2)
            self.kept = og.Generator(self.model, params)
            self.first_token(self.kept, shared_tokens)
        self.kept.rewind_to(shared_tokens)
        return self.first_token(self.kept, own_tokens)

    @staticmethod
    def first_token(generator, tokens):
        start = time.perf_counter()
        generator.append_tokens(random_tokens(tokens))
        generator.generate_next_token()
        return 1000 * (time.perf_counter() - start)


def serve(folder, threads):
    with tempfile.TemporaryDirectory(prefix="shoal-genai-") as made:
        fill_folder(made, folder, "cpu", threads)
        served = Served(og.Model(made))
    print(json.dumps(og.__version__), flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(getattr(served, name)(*arguments)), flush=True)


def main(folder, device, rounds):
    with tempfile.TemporaryDirectory(prefix="shoal-genai-") as made:
        fill_folder(made, folder, device)
        model = og.Model(made)
    cold, rate = [], []
    for index in range(rounds + 1):
        cold_ms, _ = generated(model, PROMPT_TOKENS, 1)
        _, tokens_per_second = generated(model, BATCH_PROMPT_TOKENS, STEPS)
        # The first round warms up.
        if index > 0:
            cold.append(cold_ms)
            rate.append(tokens_per_second)
    rows = [
        row(f"onnxruntime-genai: first token, {PROMPT_TOKENS} tokens", "ms", cold),
        row("onnxruntime-genai: decode, 1 sequence", "tokens/s", rate),
    ]
    print(json.dumps({"name": "genai", "machine": f"onnxruntime-genai {og.__version__}", "rows": rows, "ratios": []}))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    if sys.argv[2] == "serve":
        serve(sys.argv[1], int(sys.argv[3]))
    else:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
