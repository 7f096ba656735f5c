#pragma once

#include <string_view>

namespace grpo::tokenizer {

/// Whether a Jinja text writes every message as <|im_start|>role\ncontent<|im_end|>\n, then the assistant's opening,
/// and nothing else. Tools write that loop in many spellings, so it is not recognised by a hash but normalised first:
/// white space that Jinja drops (with trim_blocks and lstrip_blocks, as transformers sets them), the kind of quotes and
/// message['role'] for message.role do not matter.
bool is_plain_chatml(std::string_view jinja);

}  // namespace grpo::tokenizer
