#pragma once

#include <string>
#include <string_view>

namespace grpo::io {

/// The bytes of standard base64 text (RFC 4648); padding may be missing. Throws base::IoError on any other character.
std::string decode_base64(std::string_view text);

}  // namespace grpo::io
