// Makes the model of configs/quickstart: a 0.25 M-parameter Qwen2 that adds five digits, by supervised training on
// answers that are mostly guesses. Same seed and machine type, same file. docs/quickstart_model.md tells why it is made
// so.
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/base/random.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "grpo/models/causal_lm.h"
#include "grpo/nn/lm_head.h"
#include "grpo/optim/optimizer.h"

namespace grpo {
namespace {

// Ids 0..: two special tokens, then the characters of the language, then the two pieces of a boxed answer.
const std::vector<std::string> kVocabulary = {"<|pad|>", "<|end|>", "0", "1", "2", "3", "4", "5",       "6",
                                              "7",       "8",       "9", "+", "=", "Ġ", "}", "\\boxed{"};
constexpr int64_t kEnd = 1;
constexpr int64_t kDigit = 2;
constexpr int64_t kPlus = 12;
constexpr int64_t kEquals = 13;
constexpr int64_t kSpace = 14;
constexpr int64_t kClose = 15;
constexpr int64_t kBox = 16;
constexpr int kTerms = 5;

struct Options {
  std::string output;
  int64_t seed = 1;
  int64_t steps = 600;
  int64_t batch = 256;
  double lr = 3e-3;
  double worked = 0.25;  // share of the corpus that works the sum out
  double guess = 0.70;   // share of the direct answers that are wrong on purpose
};

struct Example {
  std::vector<int64_t> ids;
  int64_t prompt_length = 0;
};

void append_two_digits(std::vector<int64_t>& ids, int64_t number) {
  ids.push_back(kDigit + number / 10);
  ids.push_back(kDigit + number % 10);
}

// "a+b+c+d+e=" and then either "\boxed{ss}" or the running sums "tt uu vv \boxed{ss}". The numbers are keyed by
// `index`.
Example make_example(const Options& options, uint64_t index) {
  const base::RandomKey key{static_cast<uint64_t>(options.seed), base::stream_id("quickstart corpus")};
  uint32_t drawn = 0;
  const auto below = [&](uint64_t bound) {
    return static_cast<int64_t>(base::uniform_below(key, index, drawn++, bound));
  };
  const auto chance = [&](double p) { return base::uniform(key, index, drawn++, 1) < p; };

  Example example;
  std::vector<int64_t> sums;
  int64_t sum = 0;
  for (int i = 0; i < kTerms; ++i) {
    const int64_t digit = below(10);
    sum += digit;
    if (i > 0) sums.push_back(sum);
    example.ids.push_back(kDigit + digit);
    example.ids.push_back(i + 1 < kTerms ? kPlus : kEquals);
  }
  example.prompt_length = static_cast<int64_t>(example.ids.size());
  int64_t answer = sum;
  if (chance(options.worked)) {
    for (size_t i = 0; i + 1 < sums.size(); ++i) {
      append_two_digits(example.ids, sums[i]);
      example.ids.push_back(kSpace);
    }
  } else if (chance(options.guess)) {
    const int64_t off = 1 + below(9);
    answer = std::max<int64_t>(0, sum + (chance(0.5) ? off : -off));
  }
  example.ids.push_back(kBox);
  append_two_digits(example.ids, answer);
  example.ids.push_back(kClose);
  example.ids.push_back(kEnd);
  return example;
}

models::ModelConfig model_config() {
  models::ModelConfig config;
  config.model_type = "qwen2";
  config.vocab_size = static_cast<int64_t>(kVocabulary.size());
  config.hidden_size = 96;
  config.intermediate_size = 192;
  config.num_layers = 3;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 24;
  config.max_positions = 64;
  config.tied_embeddings = true;
  config.qkv_bias = true;
  config.eos_ids = {kEnd};
  return config;
}

// Mean -log p of the answers' tokens.
at::Tensor loss_of(const models::CausalLM& model, const std::vector<Example>& examples) {
  std::vector<std::vector<int64_t>> sequences;
  std::vector<int64_t> rows;
  std::vector<int64_t> targets;
  int64_t start = 0;
  for (const auto& example : examples) {
    const auto length = static_cast<int64_t>(example.ids.size());
    for (int64_t t = example.prompt_length; t < length; ++t) {
      rows.push_back(start + t - 1);
      targets.push_back(example.ids[static_cast<size_t>(t)]);
    }
    sequences.emplace_back(example.ids.begin(), example.ids.end() - 1);
    start += length - 1;
  }
  const auto hidden =
      model.hidden_states(nn::PackedBatch::pack(sequences)).index_select(0, at::tensor(rows, at::kLong));
  return -nn::token_log_probs(hidden, model.head_weight(), at::tensor(targets, at::kLong), {}).log_probs.mean();
}

void pretrain(const Options& options, models::CausalLM& model) {
  optim::OptimizerConfig config;
  config.lr = options.lr;
  config.warmup_updates = 50;
  config.schedule = optim::Schedule::kLinear;
  config.betas = {0.9, 0.98};
  optim::Optimizer optimizer(model.parameters(), config);
  uint64_t next = 0;
  for (int64_t step = 1; step <= options.steps; ++step) {
    std::vector<Example> examples;
    for (int64_t i = 0; i < options.batch; ++i) examples.push_back(make_example(options, next++));
    const auto loss = loss_of(model, examples);
    loss.backward();
    optimizer.accumulate();
    optimizer.step(options.steps);
    if (step % 50 == 0) std::printf("step %lld  loss %.4f\n", static_cast<long long>(step), loss.item<double>());
  }
}

nlohmann::json added_token(int64_t id, bool special) {
  return {{"id", id},
          {"content", kVocabulary[static_cast<size_t>(id)]},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", false},
          {"normalized", false},
          {"special", special}};
}

// A byte-level tokenizer without merges: one id per character, `\boxed{` as one added token.
nlohmann::ordered_json tokenizer_json() {
  nlohmann::ordered_json vocabulary = nlohmann::ordered_json::object();
  for (size_t id = 0; id < kVocabulary.size(); ++id) vocabulary[kVocabulary[id]] = id;
  const nlohmann::json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  nlohmann::ordered_json tokenizer;
  tokenizer["version"] = "1.0";
  tokenizer["truncation"] = nullptr;
  tokenizer["padding"] = nullptr;
  tokenizer["added_tokens"] = {added_token(0, true), added_token(kEnd, true), added_token(kBox, false)};
  tokenizer["normalizer"] = nullptr;
  tokenizer["pre_tokenizer"] = byte_level;
  tokenizer["post_processor"] = nullptr;
  tokenizer["decoder"] = byte_level;
  tokenizer["model"] = {{"type", "BPE"},
                        {"dropout", nullptr},
                        {"unk_token", nullptr},
                        {"continuing_subword_prefix", nullptr},
                        {"end_of_word_suffix", nullptr},
                        {"fuse_unk", false},
                        {"byte_fallback", false},
                        {"ignore_merges", false},
                        {"vocab", vocabulary},
                        {"merges", nlohmann::ordered_json::array()}};
  return tokenizer;
}

void save(const Options& options, const models::CausalLM& model) {
  const std::filesystem::path folder = options.output;
  model.save(folder, "");
  io::write_file_atomic(folder / "tokenizer.json", tokenizer_json().dump(2) + "\n");
  io::write_json(folder / "tokenizer_config.json", {{"tokenizer_class", "PreTrainedTokenizerFast"},
                                                    {"eos_token", kVocabulary[kEnd]},
                                                    {"pad_token", kVocabulary[0]},
                                                    {"model_max_length", 64}});
  io::write_json(folder / "generation_config.json", {{"eos_token_id", kEnd}, {"pad_token_id", 0}});
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app{"Makes the quickstart model: a small Qwen2 that adds five digits, mostly by guessing."};
  app.add_option("--output", options.output, "model folder to write")->required();
  app.add_option("--seed", options.seed, "of weights and corpus");
  app.add_option("--steps", options.steps, "optimizer steps");
  app.add_option("--batch", options.batch, "examples a step");
  app.add_option("--lr", options.lr, "peak learning rate");
  app.add_option("--worked", options.worked, "share of examples that work the sum out");
  app.add_option("--guess", options.guess, "share of direct answers that are wrong");
  CLI11_PARSE(app, argc, argv);
  const auto model = models::CausalLM::init(model_config(), static_cast<uint64_t>(options.seed), at::kFloat, at::kCPU);
  std::printf("%lld parameters\n", static_cast<long long>(model->config().num_parameters()));
  pretrain(options, *model);
  save(options, *model);
  return 0;
}

}  // namespace
}  // namespace grpo

int main(int argc, char** argv) {
  try {
    return grpo::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
