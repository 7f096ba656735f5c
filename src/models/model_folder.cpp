#include "models/model_folder.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "grpo/io/safetensors.h"
#include "grpo/models/device.h"
#include "grpo/models/weights.h"

namespace grpo::models {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

// The files that belong to a model besides its weights and config.json. All files whose names
// begin with "tokenizer" do too.
constexpr const char* kCompanions[] = {
    "vocab.json",          "merges.txt",         "added_tokens.json",     "special_tokens_map.json",
    "chat_template.jinja", "chat_template.json", "generation_config.json"};

bool is_companion(const std::string& name) {
  return name.rfind("tokenizer", 0) == 0 ||
         std::find(std::begin(kCompanions), std::end(kCompanions), name) != std::end(kCompanions);
}

nlohmann::json config_to_save(const ModelConfig& config, const nlohmann::json& source, at::ScalarType dtype) {
  if (source.is_null()) return to_json(config, dtype_name(dtype));
  nlohmann::json json = source;
  for (const char* key : {"dtype", "torch_dtype"}) {  // of transformers 5 and 4; a file written by both has both keys
    if (json.contains(key)) json[key] = dtype_name(dtype);
  }
  if (!json.contains("dtype")) json["torch_dtype"] = dtype_name(dtype);
  const auto own = to_json(config, dtype_name(dtype));
  json["architectures"] = own.at("architectures");    // the source may be a critic, or a model from which one begins
  for (const char* key : {"id2label", "label2id"}) {  // these belong to a critic
    if (own.contains(key)) json[key] = own.at(key);
  }
  return json;
}

// Puts consecutive parameters of together at most max_bytes into one shard. A larger parameter gets a shard of its own.
std::vector<NamedTensors> split_into_shards(const NamedTensors& parameters, int64_t max_bytes) {
  std::vector<NamedTensors> shards;
  int64_t used = 0;
  for (const auto& parameter : parameters) {
    const auto bytes = static_cast<int64_t>(parameter.second.nbytes());
    if (shards.empty() || used + bytes > max_bytes) {
      shards.emplace_back();
      used = 0;
    }
    shards.back().push_back(parameter);
    used += bytes;
  }
  return shards;
}

// Writes the shards and, if there are several, their index. Returns the names of the files.
std::set<std::string> write_weights(const fs::path& folder, const NamedTensors& parameters, int64_t max_shard_bytes) {
  const auto shards = split_into_shards(parameters, max_shard_bytes);
  if (shards.size() == 1) {
    write_tensors(folder / kSingleFile, shards.front());
    return {kSingleFile};
  }
  std::set<std::string> written;
  nlohmann::json index = {{"weight_map", nlohmann::json::object()}};
  int64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, shards.size());
    write_tensors(folder / name, shards[i]);
    written.insert(name);
    for (const auto& [parameter, tensor] : shards[i]) {
      index["weight_map"][parameter] = name;
      total += static_cast<int64_t>(tensor.nbytes());
    }
  }
  index["metadata"]["total_size"] = total;
  io::write_json(folder / kIndexFile, index);
  written.insert(kIndexFile);
  return written;
}

// Removes weight files that an earlier save left in the folder, since it may have used other shards.
void remove_other_weights(const fs::path& folder, const std::set<std::string>& written) {
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const auto name = entry.path().filename().string();
    const bool shard = name.rfind("model-", 0) == 0 && entry.path().extension() == ".safetensors";
    if ((shard || name == kSingleFile || name == kIndexFile) && !written.contains(name)) stale.push_back(entry.path());
  }
  for (const auto& path : stale) fs::remove(path);
}

}  // namespace

void copy_companions(const fs::path& source, const fs::path& folder) {
  if (fs::equivalent(source, folder)) return;
  for (const auto& entry : fs::directory_iterator(source)) {
    const auto name = entry.path().filename().string();
    if (entry.is_regular_file() && is_companion(name))
      io::write_file_atomic(folder / name, io::read_file(entry.path()));
  }
}

void write_tensors(const fs::path& file, const NamedTensors& tensors) {
  NamedTensors on_cpu;
  std::vector<std::pair<std::string, io::TensorBytes>> views;
  for (const auto& [name, tensor] : tensors) {
    on_cpu.emplace_back(name, tensor.detach().cpu().contiguous());
    views.emplace_back(name, tensor_bytes(on_cpu.back().second));
  }
  io::write_safetensors(file, views);
}

void save_model_folder(const fs::path& folder, const ModelConfig& config, const nlohmann::json& source_config,
                       const NamedTensors& parameters, const fs::path& tokenizer_source, int64_t max_shard_bytes) {
  fs::create_directories(folder);
  remove_other_weights(folder, write_weights(folder, parameters, max_shard_bytes));
  io::write_json(folder / "config.json",
                 config_to_save(config, source_config, parameters.front().second.scalar_type()));
  if (!tokenizer_source.empty()) copy_companions(tokenizer_source, folder);
}

}  // namespace grpo::models
