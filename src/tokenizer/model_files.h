#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace grpo::tokenizer {

/// What tokenizer_config.json and chat_template.jinja of a model folder say. Files that are absent leave fields empty.
struct TokenizerConfig {
  std::optional<std::string> bos_token, eos_token;
  std::optional<bool> add_bos_token;
  std::optional<std::string> chat_template;
  std::filesystem::path chat_template_file;  // where it was found
};

/// Throws base::IoError when a file is there but malformed.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder);

}  // namespace grpo::tokenizer
