#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "grpo/models/causal_lm.h"

namespace grpo::models {

/// Reads config.json and applies the overrides to it.
nlohmann::json read_config_json(const std::filesystem::path& folder, const ConfigOverrides& overrides);

/// Writes a Hugging Face folder. source_config: the config.json to keep, in which dtype and architecture are updated;
/// null: make it from `config`. tokenizer_source: folder whose tokenizer and generation files are copied; empty: none.
void save_model_folder(const std::filesystem::path& folder, const ModelConfig& config,
                       const nlohmann::json& source_config, const NamedTensors& parameters,
                       const std::filesystem::path& tokenizer_source, int64_t max_shard_bytes);

/// Writes one safetensors file.
void write_tensors(const std::filesystem::path& file, const NamedTensors& tensors);

/// Copies the tokenizer and generation files of a model folder.
void copy_companions(const std::filesystem::path& source, const std::filesystem::path& folder);

}  // namespace grpo::models
