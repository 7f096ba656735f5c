#include "grpo/tokenizer/tokenizer.h"

#include <algorithm>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json_errors.h"
#include "tokenizer/hf_tokenizer.h"
#include "tokenizer/model_files.h"
#include "tokenizer/sentencepiece_tokenizer.h"

namespace grpo::tokenizer {
namespace {

namespace fs = std::filesystem;

// Empty if the folder has none.
fs::path file_in_folder(const fs::path& folder) {
  for (const char* name : {"tokenizer.json", "tokenizer.json.xz", "tokenizer.model"}) {
    if (fs::exists(folder / name)) return folder / name;
  }
  return {};
}

fs::path tokenizer_file(const fs::path& path) {
  if (!fs::is_directory(path)) {
    if (!fs::exists(path)) throw base::IoError(path.string() + ": no such file or folder; expected a model folder");
    return path;
  }
  const fs::path file = file_in_folder(path);
  if (!file.empty()) return file;
  throw base::IoError(path.string() +
                      ": no tokenizer.json and no tokenizer.model; copy one from the model's published files");
}

std::unique_ptr<Tokenizer> load_file(const fs::path& file) {
  const std::string bytes = io::read_maybe_compressed(file);
  try {
    if (file.extension() == ".model") return make_sentencepiece_tokenizer(bytes);
    return std::make_unique<HfTokenizer>(bytes);
  } catch (const base::IoError& error) {
    throw base::IoError(file.string() + ": " + error.what());
  } catch (const nlohmann::json::exception& error) {
    throw base::IoError(file.string() + ": " + io::message_of(error));
  }
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::load(const fs::path& path) {
  const fs::path file = tokenizer_file(path);
  auto tokenizer = load_file(file);
  const TokenizerConfig config = read_tokenizer_config(file.parent_path());
  if (config.eos_token) {
    if (const auto id = tokenizer->token_id(*config.eos_token)) tokenizer->eos_id_ = id;
  }
  if (file.extension() == ".model" && config.add_bos_token == false) tokenizer->bos_prefix_.clear();
  return tokenizer;
}

bool Tokenizer::is_in(const fs::path& folder) { return !file_in_folder(folder).empty(); }

std::vector<int64_t> Tokenizer::encode_with_bos(std::string_view text) const {
  std::vector<int64_t> ids = encode(text);
  const bool has_bos =
      ids.size() >= bos_prefix_.size() && std::equal(bos_prefix_.begin(), bos_prefix_.end(), ids.begin());
  if (!has_bos) ids.insert(ids.begin(), bos_prefix_.begin(), bos_prefix_.end());
  return ids;
}

}  // namespace grpo::tokenizer
