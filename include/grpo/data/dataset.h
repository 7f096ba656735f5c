#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/base/fields.h"
#include "grpo/data/conversation.h"

namespace grpo::data {

/// Which problems a step draws.
enum class Order {
  kShuffle,    // epoch after epoch, each a permutation of all
  kFile,       // as they stand in the files
  kUncertain,  // those whose accuracy is near one half more often
};
inline std::vector<std::string> enum_names(Order) { return {"shuffle", "file", "uncertain"}; }

struct DataConfig {
  std::vector<std::string> train;
  std::string prompt_key = "problem";
  std::string answer_key = "answer";
  std::vector<std::string> extra_keys;
  std::string system = "auto";
  double epochs = 1.0;
  Order order = Order::kShuffle;
  bool shuffle = true;
  int64_t max_prompt_tokens = 1024;
  bool allow_special_tokens = false;
  GRPO_FIELDS(f) {
    f("train", train,
      "problem files (.jsonl, .json, .csv, also with .gz, .zst or .xz, and .parquet), folders of them, or patterns "
      "such as data/train-*.parquet");
    f("prompt_key", prompt_key,
      "key of the problem: a text, or a list of chat messages, which goes through the template whole; dots enter "
      "nested objects");
    f("answer_key", answer_key,
      "key of the right answer: a text, a number, or a list of right ones (as reward_model.ground_truth)");
    f("extra_keys", extra_keys,
      "further keys of every row, of data.train and eval.data, that rewards see and the rollout files show, as [level, "
      "extra_info.index]; dots enter nested objects");
    f("system", system,
      "system message: auto (the prompt's own, else the template's), none, or a text that takes their place");
    f("epochs", epochs, "passes over the problems", base::above(0));
    f("order", order,
      "shuffle: a new order every epoch, drawn from run.seed; file: as they stand; uncertain: drawn by Thompson "
      "sampling "
      "in proportion to p (1 - p) of each problem's running accuracy p, so that fewer groups are tied; an epoch is "
      "then "
      "as many draws");
    f("shuffle", shuffle, "false: data.order: file, in its older words");
    f("max_prompt_tokens", max_prompt_tokens, "longer prompts are left out and counted", base::at_least(1));
    f("allow_special_tokens", allow_special_tokens,
      "read the text of a special token, as <|im_end|>, in problems as that token; false: as plain text, counted");
  }
};

/// One problem with its right answer.
struct Problem {
  std::string id;           // the row's `id` field, else its number in its file, from 0
  std::string file;         // as given
  int64_t row = 0;          // number in the list of all files, from 0: names the problem in a run
  std::string prompt = {};  // the problem's text, without any template; of a conversation its last user message
  std::vector<Message> messages = {};     // the conversation, where the prompt is one
  std::vector<std::string> answers = {};  // each of them right; one empty text where the file has none
  std::string fields = {};                // a JSON object of the further keys asked for; empty: none was
  std::string whole_row = {};             // the row as a JSON object, where that was asked for; else empty
};

/// data.order, or what data.shuffle says of it.
inline Order order_of(const DataConfig& config) {
  return config.order == Order::kShuffle && !config.shuffle ? Order::kFile : config.order;
}

/// Reads problems in file order, the files one after another. The file's ending chooses the format: .jsonl (or "-",
/// stdin), .json (an array of objects), .csv, .parquet (a build without Parquet says so); .gz, .zst and .xz are
/// decompressed. prompt: a string, or a list of chat messages (conversation.h; verl's files). answer: a string, a
/// number as written in the file, or a list of right ones; null, NaN and infinities are missing ones. extra_keys:
/// further ones, which every row must have. whole_rows: keep every row as JSON text too. Throws base::IoError naming
/// file, line or row, key and the nearest key that exists.
std::vector<Problem> load_problems(const std::vector<std::string>& files, const std::string& prompt_key,
                                   const std::string& answer_key, const std::vector<std::string>& extra_keys = {},
                                   bool whole_rows = false);

}  // namespace grpo::data
