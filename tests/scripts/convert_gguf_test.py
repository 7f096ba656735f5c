#!/usr/bin/env python3
"""scripts/convert_gguf.py on GGUF files of this test's own making. Arguments: the program and the source folder."""
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, SOURCE = sys.argv[1], Path(sys.argv[2])
CACHE = Path(os.environ.get("GRPO_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "grpo-train"))
TOOLS = CACHE / f"python-gguf-{sys.version_info[0]}.{sys.version_info[1]}"
sys.path.insert(0, str(TOOLS))

try:
    import gguf
    import numpy as np
    from gguf.quants import dequantize, quantize
except ImportError as error:
    print(f"skipped: {error.name} is not here (scripts/setup.sh --tests installs it)")
    sys.exit(0)

Q8_0, Q5_0, F16 = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q5_0, gguf.GGMLQuantizationType.F16
HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, SIZE = 64, 96, 2, 4, 2, 32  # heads of 32, so that they are not hidden / heads
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool>", "[PAD0]", "[PAD1]"]
KINDS = [3, 3, 3, 4, 5, 5]


def byte_alphabet():
    """The characters that stand for bytes in byte-level BPE: printable ones for themselves, the others for those behind 255, in order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


TOKENS = byte_alphabet() + ["he", "ll", "hell", "hello", "Ġhello", "12", "123"] + SPECIALS
MERGES = ["h e", "l l", "he ll", "hell o", "Ġ hello", "1 2", "12 3"]
VOCABULARY = len(TOKENS)


def matrices(architecture, rng, tied=True):
    """Weights as a Hugging Face folder has them, in float32."""
    query, key = HEADS * SIZE, KV_HEADS * SIZE
    shapes = {"self_attn.q_proj.weight": (query, HIDDEN), "self_attn.k_proj.weight": (key, HIDDEN), "self_attn.v_proj.weight": (key, HIDDEN),
              "self_attn.o_proj.weight": (HIDDEN, query), "mlp.gate_proj.weight": (INNER, HIDDEN), "mlp.up_proj.weight": (INNER, HIDDEN),
              "mlp.down_proj.weight": (HIDDEN, INNER), "input_layernorm.weight": (HIDDEN,), "post_attention_layernorm.weight": (HIDDEN,)}
    if architecture == "qwen2":
        shapes.update({"self_attn.q_proj.bias": (query,), "self_attn.k_proj.bias": (key,), "self_attn.v_proj.bias": (key,)})
    if architecture == "qwen3":
        shapes.update({"self_attn.q_norm.weight": (SIZE,), "self_attn.k_norm.weight": (SIZE,)})
    whole = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "model.norm.weight": (HIDDEN,)}
    whole.update({f"model.layers.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in shapes.items()})
    if not tied:
        whole["lm_head.weight"] = (VOCABULARY, HIDDEN)
    return {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in whole.items()}


GGUF_NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
              "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
              "post_attention_layernorm": "ffn_norm"}


def gguf_name(name):
    stem, kind = name.rsplit(".", 1)
    if not stem.startswith("model.layers."):
        return {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}[stem] + "." + kind
    layer, part = stem[len("model.layers."):].split(".", 1)
    return f"blk.{layer}.{GGUF_NAMES[part]}.{kind}"


def in_pairs(weight, heads):
    """As GGUF has the rows of Llama's q and k: element i of a head's first half beside element i of its second."""
    return np.concatenate([np.stack([head[:SIZE // 2], head[SIZE // 2:]], axis=1).reshape(head.shape) for head in np.split(weight, heads)])


def stored(architecture, weights):
    tensors = {gguf_name(name): weight for name, weight in weights.items()}
    if architecture == "llama":
        for name in tensors:
            for part, heads in (("attn_q", HEADS), ("attn_k", KV_HEADS)):
                if part in name:
                    tensors[name] = in_pairs(tensors[name], heads)
    return tensors


def write_gguf(path, architecture, tensors, kinds=None, keys=None, drop=()):
    """kinds: the quantisation of a tensor by its name; keys: further ones, or others than below; drop: keys that the file lacks."""
    every = {"block_count": LAYERS, "context_length": 512, "embedding_length": HIDDEN, "feed_forward_length": INNER, "attention.head_count": HEADS,
             "attention.head_count_kv": KV_HEADS, "attention.key_length": SIZE, "attention.value_length": SIZE, "rope.dimension_count": SIZE,
             "rope.freq_base": 1e6, "attention.layer_norm_rms_epsilon": 1e-6}
    every = {f"{architecture}.{key}": value for key, value in every.items()}
    every.update({"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "qwen2", "tokenizer.ggml.tokens": TOKENS, "tokenizer.ggml.merges": MERGES,
                  "tokenizer.ggml.token_type": [1] * (VOCABULARY - len(SPECIALS)) + KINDS, "tokenizer.ggml.eos_token_id": TOKENS.index("<|im_end|>"),
                  "tokenizer.ggml.bos_token_id": TOKENS.index("<|endoftext|>"), "tokenizer.chat_template": "{{ messages[0]['content'] }}"})
    every.update(keys or {})
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in every.items():
        if key in drop:
            continue
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string, list: writer.add_array}[type(value)]
        add(key, value)
    for name, values in tensors.items():
        kind = (kinds or {}).get(name)
        writer.add_tensor(name, values if kind is None else quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_safetensors(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    result = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        raw = np.frombuffer(data[8 + length + begin:8 + length + end], "<f4" if entry["dtype"] == "F32" else "<u2")
        values = raw if entry["dtype"] == "F32" else (raw.astype(np.uint32) << 16).view(np.float32)
        result[name] = values.reshape(entry["shape"])
    return result


class Conversion(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.work = Path(temporary.name)
        self.file, self.folder = self.work / "model.gguf", self.work / "model"
        self.rng = np.random.default_rng(1)

    def run_script(self, *options):
        return subprocess.run([sys.executable, SOURCE / "scripts" / "convert_gguf.py", self.file, self.folder, *options], capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": str(TOOLS)}, timeout=120)

    def converted(self, *options):
        result = self.run_script(*options)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([path.name for path in self.work.iterdir() if ".part" in path.name], [])
        return result.stdout

    def read_json(self, name):
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def program(self, command, rows, *options):
        result = subprocess.run([PROGRAM, command, "--model", self.folder, "--input", "-", "--output", "-", *options], capture_output=True, text=True, timeout=120,
                                input="".join(json.dumps(row) + "\n" for row in rows))
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def refused(self, words, *options):
        result = self.run_script(*options)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(words, result.stderr)
        self.assertTrue(result.stderr.startswith("convert_gguf: ") and result.stderr.count("\n") == 1, result.stderr)
        self.assertEqual([path.name for path in self.work.iterdir() if path != self.file], [])

    def test_families_keep_their_weights(self):
        for architecture in ("llama", "qwen2", "qwen3"):
            for tied in (True, False):
                self.folder = self.work / f"{architecture}_{tied}"
                weights = matrices(architecture, self.rng, tied)
                write_gguf(self.file, architecture, stored(architecture, weights))
                self.converted("--dtype", "float32")
                found = read_safetensors(self.folder / "model.safetensors")
                self.assertEqual(sorted(found), sorted(weights))
                for name, values in weights.items():
                    np.testing.assert_array_equal(found[name], values, name)
                config = self.read_json("config.json")
                self.assertEqual((config["model_type"], config["tie_word_embeddings"], config["head_dim"], config["rope_theta"], config["rms_norm_eps"]),
                                 (architecture, tied, SIZE, 1e6, 1e-6))
                scored = self.program("score", [{"ids": [1, 2, 3, 4]}])
                self.assertTrue(all(math.isfinite(value) for value in scored[0]["logprobs"]))

    def test_what_the_race_writes_comes_back(self):
        write_gguf(self.file, "llama", stored("llama", matrices("llama", self.rng)))
        self.converted()
        folder, files = self.folder, {kind: self.work / f"{kind}.gguf" for kind in ("bf16", "q8_0")}
        written = subprocess.run([sys.executable, SOURCE / "scripts" / "cpu" / "write_gguf.py", folder, *(f"{kind}={file}" for kind, file in files.items())],
                                 capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(TOOLS)}, timeout=120)
        self.assertEqual(written.returncode, 0, written.stderr)
        weights = read_safetensors(folder / "model.safetensors")
        ids = self.program("tokenize", [{"text": "hello 123 hell"}])
        for kind, self.file in files.items():
            self.folder = self.work / kind
            self.converted("--dtype", "float32")
            found = read_safetensors(self.folder / "model.safetensors")
            self.assertEqual(sorted(found), sorted(weights))
            for name, values in weights.items():
                exact = dequantize(quantize(values, Q8_0), Q8_0) if kind == "q8_0" and values.ndim == 2 else values
                # The halves of a head become rotary pairs, whose rows are quantised alone: their order changes nothing.
                np.testing.assert_array_equal(found[name], exact, f"{kind} {name}")
            self.assertEqual(self.program("tokenize", [{"text": "hello 123 hell"}]), ids)

    def test_a_llama_with_biases(self):
        weights = matrices("llama", self.rng)
        for layer in range(LAYERS):
            for part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"):
                name = f"model.layers.{layer}.{part}"
                weights[f"{name}.bias"] = self.rng.normal(0, 0.1, weights[f"{name}.weight"].shape[0]).astype(np.float32)
        tensors = stored("llama", weights)
        write_gguf(self.file, "llama", tensors)
        self.converted("--dtype", "float32")
        found = read_safetensors(self.folder / "model.safetensors")
        for name, values in weights.items():
            np.testing.assert_array_equal(found[name], values, name)
        self.assertEqual([self.read_json("config.json")[key] for key in ("attention_bias", "mlp_bias")], [True, True])

    def test_quantised_weights_are_undone_and_rounded(self):
        weights = matrices("qwen2", self.rng)
        kinds = {"token_embd.weight": Q8_0, "blk.0.attn_q.weight": Q5_0, "blk.1.ffn_up.weight": F16}
        tensors = stored("qwen2", weights)
        write_gguf(self.file, "qwen2", tensors, kinds)
        self.converted()
        found = read_safetensors(self.folder / "model.safetensors")
        ties_seen = 0
        for name, values in weights.items():
            kind = kinds.get(gguf_name(name))
            exact = values if kind is None else dequantize(quantize(values, kind), kind)
            # Of bfloat16's 8 bits the last one is half rounded: 2^-9, and of ties to even.
            self.assertLessEqual(np.abs(found[name] - exact).max(), np.abs(exact).max() * 2**-8, name)
            bits = exact.view(np.uint32)
            low, up = (bits & 0xFFFF0000).view(np.float32), ((bits & 0xFFFF0000) + 0x10000).view(np.float32)
            nearest = np.where(np.abs(exact - low) <= np.abs(up - exact), low, up)
            ties = np.abs(exact - low) == np.abs(up - exact)
            np.testing.assert_array_equal(found[name][~ties], nearest[~ties], name)
            tied = found[name][ties & (exact != low)].view(np.uint32) >> 16
            self.assertFalse((tied & 1).any(), name)
            ties_seen += tied.size
        self.assertGreater(ties_seen, 0)

    def test_a_tied_model_takes_the_better_copy(self):
        weights = matrices("qwen2", self.rng)
        tensors = {**stored("qwen2", weights), "output.weight": weights["model.embed_tokens.weight"]}
        for kinds in ({"token_embd.weight": Q5_0, "output.weight": Q8_0}, {"token_embd.weight": Q8_0, "output.weight": Q5_0}):
            self.folder = self.work / kinds["output.weight"].name
            write_gguf(self.file, "qwen2", tensors, kinds)
            self.assertIn("Q8_0 serves for both", self.converted("--dtype", "float32"))
            found = read_safetensors(self.folder / "model.safetensors")
            self.assertNotIn("lm_head.weight", found)
            np.testing.assert_array_equal(found["model.embed_tokens.weight"], dequantize(quantize(weights["model.embed_tokens.weight"], Q8_0), Q8_0))
            self.assertTrue(self.read_json("config.json")["tie_word_embeddings"])

    def test_scaled_rotations(self):
        tensors = stored("llama", matrices("llama", self.rng))
        yarn = {"type": "yarn", "factor": 4.0, "original_context_length": 128, "yarn_beta_fast": 16.0}
        for number, (keys, expected) in enumerate((
                ({"type": "none"}, None),
                ({"type": "linear", "factor": 2.0}, {"rope_type": "linear", "factor": 2.0}),
                (yarn, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "beta_fast": 16.0}))):
            self.folder = self.work / str(number)
            write_gguf(self.file, "llama", tensors, keys={f"llama.rope.scaling.{key}": value for key, value in keys.items()})
            self.converted()
            self.assertEqual(self.read_json("config.json")["rope_scaling"], expected)
            self.program("score", [{"ids": [1, 2, 3]}])

    def test_llama3_is_known_by_its_quotients(self):
        # Of Llama 3.2's settings: waves shorter than 8192 / 4 positions are kept, those longer than 8192 / 1 divided by 32, those between blended.
        waves = [2 * math.pi * 500000.0 ** (2 * i / SIZE) for i in range(SIZE // 2)]
        blends = [min(max((8192 / wave - 1) / (4 - 1), 0), 1) for wave in waves]
        quotients = np.array([1 / ((1 - blend) / 32 + blend) for blend in blends], dtype=np.float32)
        self.assertTrue(0 < sum(0 < blend < 1 for blend in blends))
        tensors = {**stored("llama", matrices("llama", self.rng)), "rope_freqs.weight": quotients}
        write_gguf(self.file, "llama", tensors, keys={"llama.rope.freq_base": 500000.0})
        self.converted()
        self.assertEqual(self.read_json("config.json")["rope_scaling"],
                         {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192})
        self.file.unlink()
        subprocess.run(["rm", "-r", self.folder], check=True)
        tensors["rope_freqs.weight"] = quotients ** 0.9
        write_gguf(self.file, "llama", tensors, keys={"llama.rope.freq_base": 500000.0})
        self.refused("'rope_freqs.weight' scales rotary frequencies otherwise than Llama 3.1 to 3.3 do")

    def test_tokenizers(self):
        ids = {token: i for i, token in enumerate(TOKENS)}
        tensors = stored("qwen2", matrices("qwen2", self.rng))
        text = "hello hello123<tool>e\u0301<|im_end|>"
        # NFC makes one letter of e and its accent, two bytes long; Llama 3 leaves them apart.
        joined, apart = [ids["Ã"], ids["©"]], [ids["e"], ids["Ì"], ids["ģ"]]
        for pre, digits, letters in (("qwen2", ["1", "2", "3"], joined), ("deepseek-r1-qwen", ["1", "2", "3"], joined), ("smollm", ["1", "2", "3"], apart),
                                     ("llama-bpe", ["123"], apart), ("gpt-2", ["123"], apart)):
            self.folder = self.work / pre
            write_gguf(self.file, "qwen2", tensors, keys={"tokenizer.ggml.pre": pre})
            self.converted()
            row = self.program("tokenize", [{"text": text}])[0]
            self.assertEqual(row["ids"], [ids["hello"], ids["Ġhello"], *(ids[digit] for digit in digits), ids["<tool>"], *letters, ids["<|im_end|>"]], pre)
            tokenizer = self.read_json("tokenizer.json")
            self.assertEqual([(token["content"], token["special"]) for token in tokenizer["added_tokens"]], [*((name, True) for name in SPECIALS[:3]), ("<tool>", False)])
            self.assertFalse({"[PAD0]", "[PAD1]"} & set(tokenizer["model"]["vocab"]))
            self.assertEqual(bool(tokenizer["post_processor"]), pre == "llama-bpe")
            self.assertEqual(tokenizer["model"]["ignore_merges"], pre == "llama-bpe")

    def test_ends_and_templates(self):
        tensors = stored("qwen2", matrices("qwen2", self.rng))
        ids = {token: i for i, token in enumerate(TOKENS)}
        write_gguf(self.file, "qwen2", tensors, keys={"tokenizer.ggml.eot_token_id": ids["<tool>"], "tokenizer.ggml.add_bos_token": True})
        self.converted()
        self.assertEqual(self.read_json("generation_config.json"), {"bos_token_id": ids["<|endoftext|>"], "eos_token_id": [ids["<|im_end|>"], ids["<tool>"], ids["<|endoftext|>"]]})
        config = self.read_json("tokenizer_config.json")
        self.assertEqual((config["chat_template"], config["bos_token"], config["eos_token"]), ("{{ messages[0]['content'] }}", "<|endoftext|>", "<|im_end|>"))
        self.assertNotIn("pad_token", config)
        self.assertEqual(self.read_json("tokenizer.json")["post_processor"]["special_tokens"]["<|endoftext|>"]["ids"], [ids["<|endoftext|>"]])

    def test_what_a_folder_could_not_say_is_refused(self):
        tensors = stored("llama", matrices("llama", self.rng))
        without = {name: values for name, values in tensors.items() if name != "blk.1.ffn_up.weight"}
        for words, keys, changed in (
                ("architecture 'gemma' is not supported (known: llama, qwen2, qwen3)", {"general.architecture": "gemma"}, tensors),
                ("general.type is 'adapter', expected a model", {"general.type": "adapter"}, tensors),
                ("one of 3 parts (split.count)", {"split.count": 3}, tensors),
                ("'llama.expert_count' (8)", {"llama.expert_count": 8}, tensors),
                ("rotary scaling 'longrope'", {"llama.rope.scaling.type": "longrope"}, tensors),
                ("'llama.rope.dimension_count' is 16, expected the head's size, 32", {"llama.rope.dimension_count": 16}, tensors),
                ("'llama.block_count' is 0, expected one number above 0", {"llama.block_count": 0}, tensors),
                ("unknown tensor 'blk.2.attn_norm.weight'", {}, {**tensors, "blk.2.attn_norm.weight": np.ones(HIDDEN, np.float32)}),
                ("unknown tensor 'blk.0.attn_norm.bias'", {}, {**tensors, "blk.0.attn_norm.bias": np.ones(HIDDEN, np.float32)}),
                ("no tensor 'blk.1.ffn_up.weight'; is it whole?", {}, without),
                ("'blk.1.ffn_up.weight' has the shape [95, 64], expected [96, 64]", {}, {**tensors, "blk.1.ffn_up.weight": tensors["blk.1.ffn_up.weight"][1:]}),
                ("'blk.1.ffn_up.weight' holds values that are not finite", {}, {**tensors, "blk.1.ffn_up.weight": np.full((INNER, HIDDEN), np.inf, np.float32)}),
                ("tokenizer model 'llama'", {"tokenizer.ggml.model": "llama"}, tensors),
                ("pre-tokenizer 'tekken'", {"tokenizer.ggml.pre": "tekken"}, tensors),
                ("token types [6]", {"tokenizer.ggml.token_type": [1] * (VOCABULARY - 1) + [6]}, tensors),
                ("two tokens have the same text", {"tokenizer.ggml.tokens": [*TOKENS[:-6], "he", *TOKENS[-5:]]}, tensors),
                ("'tokenizer.ggml.merges' is no pair", {"tokenizer.ggml.merges": ["h e l"]}, tensors),
                ("'llama.rope.freq_base' is 'high', expected a number", {"llama.rope.freq_base": "high"}, tensors),
                ("'tokenizer.ggml.tokens' is 'none', expected a list of str", {"tokenizer.ggml.tokens": "none"}, tensors),
                ("eos_token_id 'end' is no id", {"tokenizer.ggml.eos_token_id": "end"}, tensors),
                ("eos_token_id 5000", {"tokenizer.ggml.eos_token_id": 5000}, tensors)):
            with self.subTest(words):
                write_gguf(self.file, "llama", changed, keys=keys)
                self.refused(words)
        write_gguf(self.file, "llama", tensors, drop=("tokenizer.ggml.tokens",))
        self.refused("the file has no 'tokenizer.ggml.tokens'")

    def test_broken_files_and_folders(self):
        self.file.write_text("no model\n")
        self.refused("no whole GGUF file")
        write_gguf(self.file, "qwen2", stored("qwen2", matrices("qwen2", self.rng)))
        self.file.write_bytes(self.file.read_bytes()[:-40000])
        self.refused("no whole GGUF file")
        self.file.unlink()
        self.refused("No such file")
        write_gguf(self.file, "qwen2", stored("qwen2", matrices("qwen2", self.rng)))
        self.folder.mkdir()
        (self.folder / "mine").write_text("kept")
        self.assertIn("exists; name another folder", self.run_script().stderr)
        self.assertEqual((self.folder / "mine").read_text(), "kept")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
