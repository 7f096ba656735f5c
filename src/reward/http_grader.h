#pragma once

#include <memory>
#include <string>

#include "reward/grader.h"

namespace grpo::reward {

struct HttpOptions {
  std::string url;   // http or https
  double timeout_s;  // of a post, and of waiting for the server at the start
};

/// A server that gets requests as the JSON array of a POST and answers with the array of replies, in any order. The
/// connection is kept. start() waits until it accepts connections. http_curl.cpp, or http_none.cpp in a build without
/// libcurl, which throws base::Error.
std::unique_ptr<Grader> make_http_grader(const HttpOptions& options);

}  // namespace grpo::reward
