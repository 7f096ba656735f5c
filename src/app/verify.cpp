#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "app/commands.h"
#include "app/same_file.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"
#include "grpo/io/base64.h"
#include "grpo/io/json.h"
#include "grpo/io/parse_json.h"
#include "grpo/verifier/gold.h"
#include "grpo/verifier/verifier.h"

namespace grpo::app {
namespace {

constexpr size_t kRowWindow = 4096;  // rows that are in memory at the same time

struct VerifyOptions {
  std::string input = "-";
  std::string output = "-";
  int64_t threads = 0;
  bool timing = false;
  std::vector<std::string> fallbacks = enum_names(verifier::Fallback{});
  bool no_calculations = false;
};

struct Pair {
  nlohmann::ordered_json row;      // its fields in their order
  std::vector<std::string> golds;  // all of them are right
  std::string pred;
  verifier::Verdict verdict;
  double seconds = 0.0;
};

// Reads `key`, or `key`_b64, which is base64 for bytes that are not UTF-8.
std::string read_text(const nlohmann::json& row, const std::string& key, const io::JsonlReader& reader) {
  if (row.contains(key) && row.at(key).is_string()) return row.at(key).get<std::string>();
  if (row.contains(key + "_b64") && row.at(key + "_b64").is_string()) {
    return io::decode_base64(row.at(key + "_b64").get<std::string>());
  }
  throw base::IoError(
      base::concat(reader.path(), ":", reader.line(), ": no text \"", key, "\" (or \"", key, "_b64\")"));
}

// Reads the gold answers: one text, or a list of right ones.
std::vector<std::string> read_golds(const nlohmann::json& row, const io::JsonlReader& reader) {
  const auto list = row.find("gold");
  if (list == row.end() || !list->is_array() || list->empty()) return {read_text(row, "gold", reader)};
  std::vector<std::string> golds;
  for (const auto& gold : *list) golds.push_back(read_text({{"gold", gold}}, "gold", reader));
  return golds;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void judge(Pair& pair, const verifier::VerifierOptions& verifier_options) {
  const auto start = std::chrono::steady_clock::now();
  pair.verdict = verifier::verify_any(pair.golds, pair.pred, verifier_options);
  pair.seconds = seconds_since(start);
}

void verify_all(std::vector<Pair>& pairs, size_t num_threads, const verifier::VerifierOptions& verifier_options) {
  num_threads = std::min(num_threads, pairs.size());
  std::vector<std::jthread> threads;  // joined also when the system gives no further one
  for (size_t t = 0; t < num_threads; ++t) {
    threads.emplace_back([&pairs, &verifier_options, t, num_threads] {
      for (size_t i = t; i < pairs.size(); i += num_threads) judge(pairs[i], verifier_options);
    });
  }
}

void run_verify(const VerifyOptions& options) {
  refuse_same_file(options.input, options.output);
  io::JsonlReader reader(options.input);
  io::JsonlWriter writer(options.output);
  const auto num_threads = static_cast<size_t>(options.threads > 0 ? options.threads : base::usable_cores());
  verifier::VerifierOptions verifier_options;
  verifier_options.fallbacks = verifier::fallbacks_named(options.fallbacks);
  verifier_options.calculations = !options.no_calculations;
  std::array<int64_t, 4> counts{};
  double seconds = 0.0;
  std::vector<Pair> window;
  const auto flush = [&] {
    const auto start = std::chrono::steady_clock::now();
    verify_all(window, num_threads, verifier_options);
    seconds += seconds_since(start);
    for (auto& pair : window) {
      ++counts[static_cast<size_t>(pair.verdict.kind)];
      pair.row["correct"] = pair.verdict.kind == verifier::Verdict::Kind::kRight;
      pair.row["verdict"] = verifier::to_string(pair.verdict.kind);
      pair.row["gold_parsed"] = pair.verdict.gold_parsed;
      pair.row["pred_parsed"] = pair.verdict.pred_parsed;
      pair.row.emplace("rule", pair.verdict.rule);  // emplace keeps a field of the row that has this name already
      pair.row.emplace("reason", pair.verdict.reason);
      if (options.timing) pair.row["seconds"] = pair.seconds;
      writer.write(pair.row);
    }
    window.clear();
  };
  nlohmann::json row;
  while (reader.next(row)) {
    window.push_back({.row = io::parse_ordered_json(reader.text(), reader.path()),
                      .golds = read_golds(row, reader),
                      .pred = read_text(row, "pred", reader),
                      .verdict = {}});
    if (window.size() == kRowWindow) flush();
  }
  flush();
  const int64_t total = counts[0] + counts[1] + counts[2] + counts[3];
  std::fprintf(stderr, "%lld pairs: %lld right, %lld wrong, %lld unparsable, %lld over-budget; %.0f pairs/s\n",
               static_cast<long long>(total), static_cast<long long>(counts[0]), static_cast<long long>(counts[1]),
               static_cast<long long>(counts[2]), static_cast<long long>(counts[3]),
               seconds > 0.0 ? static_cast<double>(total) / seconds : 0.0);
}

}  // namespace

void add_verify(CLI::App& app) {
  auto* command = app.add_subcommand("verify", "Judge answers against gold answers");
  auto options = std::make_shared<VerifyOptions>();
  command->add_option("--input", options->input,
                      "JSONL with \"gold\" and \"pred\" (or gold_b64, pred_b64); - is stdin");
  command->add_option("--output", options->output, "the same rows with the verdict; - is stdout");
  command->add_option("--threads", options->threads, "0: the cores this process may use")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  command
      ->add_option("--fallbacks", options->fallbacks,
                   "where to look for the answer of a response without a box, in this order")
      ->delimiter(',');
  command->add_flag("--no-calculations", options->no_calculations,
                    "a stated answer may not leave plain numbers to be calculated, as \\boxed{2\\cdot7} does");
  command->add_flag("--timing", options->timing, "add \"seconds\", the time of each verdict");
  command->callback([options] { run_verify(*options); });
}

}  // namespace grpo::app
