#pragma once

#include <string>
#include <string_view>

namespace grpo::io {

/// Standard base64 (RFC 4648) to bytes; throws base::IoError on other characters.
std::string decode_base64(std::string_view text);

}  // namespace grpo::io
