#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/base/fields.h"

namespace grpo::data {

struct DataConfig {
  std::vector<std::string> train;
  std::string prompt_key = "problem";
  std::string answer_key = "answer";
  double epochs = 1.0;
  bool shuffle = true;
  int64_t max_prompt_tokens = 1024;
  GRPO_FIELDS(f) {
    f("train", train, "problem files: .jsonl, .json (an array of objects) or .parquet");
    f("prompt_key", prompt_key, "key of the problem's text; dots enter nested objects; a chat message list gives its last user message");
    f("answer_key", answer_key, "key of the right answer: a text, a number, or a list of one (as reward_model.ground_truth)");
    f("epochs", epochs, "passes over the problems", base::above(0));
    f("shuffle", shuffle, "a new order every epoch, drawn from run.seed; false: file order");
    f("max_prompt_tokens", max_prompt_tokens, "longer prompts are left out and counted", base::at_least(1));
  }
};

/// One problem with its right answer.
struct Problem {
  std::string id;      // the row's `id` field, else its number in its file, from 0
  std::string file;    // as given
  int64_t row = 0;     // number in the list of all files, from 0: names the problem in a run
  std::string prompt;  // the problem's text, without any template
  std::string answer;
};

/// Reads problems in file order, the files one after another. The file's ending chooses the format: .jsonl (or "-",
/// stdin), .json (an array of objects), .parquet (a build without Parquet says so).
/// prompt: a string, or a list of {"role", "content"} messages, of which the last with role "user" counts (verl's files).
/// answer: a string, a number as written in the file, or a list of exactly one of these.
/// Throws base::IoError naming file, line or row, key and the nearest key that exists.
std::vector<Problem> load_problems(const std::vector<std::string>& files, const std::string& prompt_key,
                                   const std::string& answer_key);

}  // namespace grpo::data
