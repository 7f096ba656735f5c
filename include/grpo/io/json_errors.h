#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "grpo/base/error.h"
#include "grpo/io/json.h"

namespace grpo::io {

/// What a nlohmann::json exception says, without the library's number before it: "key 'step' not found".
std::string message_of(const nlohmann::json::exception& error);

/// What `read` returns. `read` takes values out of JSON that came from outside: a key that is missing, or a value of
/// another type, becomes an Error whose message begins with `where`, which names the file. For sources only, since this
/// header includes the whole JSON library.
template <typename Error = base::IoError, typename Read>
auto with_json_errors(const std::string& where, const Read& read) -> decltype(read()) {
  try {
    return read();
  } catch (const nlohmann::json::exception& error) {
    throw Error(where + ": " + message_of(error));
  }
}

/// The same for values of the line that `reader` has read last; the message begins with FILE:LINE.
template <typename Error = base::IoError, typename Read>
auto with_json_errors(const JsonlReader& reader, const Read& read) -> decltype(read()) {
  try {
    return read();
  } catch (const nlohmann::json::exception& error) {
    throw Error(base::concat(reader.path(), ":", reader.line(), ": ", message_of(error)));
  }
}

}  // namespace grpo::io
