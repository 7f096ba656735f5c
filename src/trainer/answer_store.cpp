#include "grpo/trainer/answer_store.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "grpo/io/file.h"
#include "grpo/io/hash.h"
#include "grpo/io/json_errors.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

// Removes the incomplete last line that a process leaves when it is killed while it writes.
void drop_half_line(const fs::path& file) {
  const std::string bytes = io::read_file(file);
  if (!bytes.empty() && bytes.back() != '\n') fs::resize_file(file, bytes.rfind('\n') + 1);  // npos + 1 is 0
}

rollout::Completion completion_from(const nlohmann::json& json) {
  const bool stopped = json.at("finish_reason").get<std::string>() == to_string(rollout::FinishReason::kStop);
  return {.ids = json.at("ids").get<std::vector<int64_t>>(),
          .log_probs = {},
          .finish_reason = stopped ? rollout::FinishReason::kStop : rollout::FinishReason::kLength};
}

void take(const nlohmann::json& line, std::map<AnswerKey, std::vector<rollout::Completion>>& all) {
  auto& known = all[{.set = line.at("set").get<std::string>(),
                     .draw = line.at("draw").get<uint64_t>(),
                     .greedy = line.at("greedy").get<bool>(),
                     .prompt = line.at("prompt").get<std::string>()}];
  for (const auto& completion : line.at("completions")) known.push_back(completion_from(completion));
}

// The place of the lock in `folder`, which is made if it is not there yet.
fs::path lock_path(const fs::path& folder, const std::string& identity) {
  fs::create_directories(folder);
  return folder / (identity + ".lock");
}

bool is_part_of_a_model(const fs::path& file) {
  return file.extension() == ".safetensors" || file.extension() == ".json" || file.extension() == ".model";
}

}  // namespace

AnswerStore::AnswerStore(const fs::path& folder, const std::string& identity) : lock_(lock_path(folder, identity)) {
  const fs::path file = folder / (identity + ".jsonl");
  if (fs::exists(file)) {
    drop_half_line(file);
    io::JsonlReader reader(file.string());
    for (nlohmann::json line; reader.next(line);) io::with_json_errors(reader, [&] { take(line, known_); });
  }
  writer_ = std::make_unique<io::JsonlWriter>(file.string(), io::JsonlWriter::Mode::kAppend);
}

const std::vector<rollout::Completion>& AnswerStore::find(const AnswerKey& key) const {
  static const std::vector<rollout::Completion> none;
  const auto found = known_.find(key);
  return found == known_.end() ? none : found->second;
}

void AnswerStore::add(const AnswerKey& key, const std::vector<rollout::Completion>& completions) {
  nlohmann::ordered_json line{{"set", key.set},
                              {"draw", key.draw},
                              {"greedy", key.greedy},
                              {"prompt", key.prompt},
                              {"completions", nlohmann::json::array()}};
  for (const auto& completion : completions) {
    line["completions"].push_back({{"ids", completion.ids}, {"finish_reason", to_string(completion.finish_reason)}});
  }
  writer_->write(line);
  auto& known = known_[key];
  known.insert(known.end(), completions.begin(), completions.end());
}

std::string hash_model_folder(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && is_part_of_a_model(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::string all;
  for (const auto& file : files) all += file.filename().string() + " " + io::hash_file(file) + "\n";
  return io::hash_bytes(all);
}

std::string hash_ids(const std::vector<int64_t>& ids) {
  return io::hash_bytes({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int64_t)});
}

}  // namespace grpo::trainer
