#pragma once

#include <memory>
#include <string_view>

#include "grpo/tokenizer/tokenizer.h"

namespace grpo::tokenizer {

/// A tokenizer.model run by libsentencepiece. model: the file's bytes. Throws base::IoError (without a file name).
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view model);

}  // namespace grpo::tokenizer
