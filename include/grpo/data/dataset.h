#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/base/fields.h"
#include "grpo/data/conversation.h"
#include "grpo/data/train_set.h"

namespace grpo::data {

/// In which order steps draw the problems.
enum class Order {
  kShuffle,    // epoch after epoch, each in a new random order
  kFile,       // as the problems stand in the files
  kUncertain,  // problems whose accuracy is near one half are drawn more often
};
inline std::vector<std::string> enum_names(Order) { return {"shuffle", "file", "uncertain"}; }

enum class OnBadRow { kError, kSkip };
std::vector<std::string> enum_names(OnBadRow);
enum class Duplicates { kKeep, kDrop };
std::vector<std::string> enum_names(Duplicates);

/// The most that a key for a number of tokens may say: a prompt and a completion together are counted in 32 bits.
inline constexpr double kMostTokens = 1e9;

struct DataConfig {
  std::vector<TrainSet> train;
  std::string prompt_key = "problem";
  std::string answer_key = "answer";
  std::string chosen_key = "chosen";
  std::string rejected_key = "rejected";
  std::vector<std::string> extra_keys;
  std::string system = "auto";
  double epochs = 1.0;
  Order order = Order::kShuffle;
  bool shuffle = true;
  int64_t max_prompt_tokens = 1024;
  bool allow_special_tokens = false;
  OnBadRow on_bad_row = OnBadRow::kError;
  Duplicates duplicates = Duplicates::kKeep;
  GRPO_FIELDS(f) {
    f("train", train,
      "sets of problems: a path each, or a mapping with more to say, as [a.jsonl, {path: b.jsonl, take: 7500, weight: "
      "2}]; one entry also without brackets");
    f("prompt_key", prompt_key,
      "key of the problem: a text, or a list of chat messages, which goes through the template whole; dots enter "
      "nested objects");
    f("answer_key", answer_key,
      "key of the right answer: a text, a number, or a list of right ones (as reward_model.ground_truth)");
    f("chosen_key", chosen_key,
      "method dpo: key of the better completion: a text, or a list of chat messages that ends in it");
    f("rejected_key", rejected_key, "method dpo: key of the worse completion");
    f("extra_keys", extra_keys,
      "further keys of every row, of data.train and eval.data, that rewards see and the rollout files show, as [level, "
      "extra_info.index]; dots enter nested objects");
    f("system", system,
      "system message: auto (the prompt's own, else the template's), none, or a text that takes their place");
    f("epochs", epochs, "passes over the problems", base::above(0));
    f("order", order,
      "shuffle: a new order every epoch, drawn from run.seed; file: as they stand; uncertain: drawn by Thompson "
      "sampling in proportion to p (1 - p) of each problem's running accuracy p, so that fewer groups are tied; an "
      "epoch "
      "is then as many draws");
    f("shuffle", shuffle, "false: data.order: file, in its older words");
    f("max_prompt_tokens", max_prompt_tokens, "longer prompts are left out and counted", base::between(1, kMostTokens));
    f("on_bad_row", on_bad_row,
      "a row of data.train that cannot be read: error ends the start with its place, skip leaves it out, counted, and "
      "problems whose right answer cannot be verified too");
    f("duplicates", duplicates,
      "problems of data.train whose text is that of an earlier one, up to white space: keep, or drop, counted");
    f("allow_special_tokens", allow_special_tokens,
      "read the text of a special token, as <|im_end|>, in problems as that token; false: as plain text, counted");
  }
};

/// One problem with its right answer.
struct Problem {
  std::string id;           // the value of the row's key `id`, else the row's number in its file, from 0
  std::string file;         // path as given
  int64_t row = 0;          // number among the rows of all files, from 0: identifies the problem within a run
  std::string prompt = {};  // the text without any template; of a conversation the last user message
  std::vector<Message> messages = {};     // the conversation, if the prompt is one
  std::vector<std::string> answers = {};  // all of them are right; one empty text if the file has none
  std::string rejected = {};              // of a preference: the worse completion, the better one is in answers
  std::string fields = {};                // the extra_keys of the row as a JSON object; empty if there are none
  std::string whole_row = {};             // the row as a JSON object if whole rows were asked for, else empty
  std::string place = {};                 // "FILE:LINE" or "FILE: row N"
  int64_t set = 0;                        // index of its set in data.train
};

/// The order to use: data.order, or file order for the older spelling data.shuffle: false.
inline Order order_of(const DataConfig& config) {
  return config.order == Order::kShuffle && !config.shuffle ? Order::kFile : config.order;
}

/// Reads the problems of all files, one file after another. The ending chooses the format: .jsonl, .json
/// (an array of objects), .csv or .parquet (unless the build has no Parquet); .gz, .zst and .xz are decompressed.
/// The prompt is a string or a list of chat messages (conversation.h), as in verl's files. The answer is a string, a
/// number (kept as it is written in the file) or a list of right answers; null, and in Parquet NaN and infinities, mean
/// that the answer is missing. Texts are UTF-8. Every row must have all extra_keys. whole_rows: keep each row as JSON
/// text too. Throws base::IoError naming the file, the line or row, the key and the nearest key that exists.
std::vector<Problem> load_problems(const std::vector<std::string>& files, const std::string& prompt_key,
                                   const std::string& answer_key, const std::vector<std::string>& extra_keys = {},
                                   bool whole_rows = false);

/// What a row is read as.
enum class RowKind {
  kProblem,     // a problem and its answers
  kWholeRow,    // like kProblem, and the row itself as JSON text
  kPreference,  // a prompt and two completions (docs/data.md): the better is in answers, the worse in rejected
};

/// What became of the rows of one set.
struct SetCounts {
  int64_t rows = 0;
  std::vector<std::string> bad = {};  // why each skipped row cannot be used, with its place
  int64_t filtered = 0;               // rows that do not meet `where`
  int64_t duplicates = 0;  // rows that repeat an earlier problem, whether dropped (Duplicates::kDrop) or kept
  int64_t not_taken = 0;   // rows that `take` did not draw
};

struct TrainProblems {
  std::vector<Problem> problems;  // set after set, each in file order
  std::vector<SetCounts> counts;  // one per set
};

/// Reads the sets of config.train, whose paths must be files already. Problem::row counts every row of every file, used
/// or not, so that a number means the same problem whatever `where` and `take` choose. Throws base::IoError like
/// load_problems, and for a set of which no problem is left. Throws base::ConfigError for a malformed condition, a
/// condition whose key no row has, and a `take` of more rows than there are.
TrainProblems load_train_sets(const DataConfig& config, RowKind kind = RowKind::kProblem);

}  // namespace grpo::data
