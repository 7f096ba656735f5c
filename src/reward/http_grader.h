#pragma once

#include <memory>
#include <string>

#include "reward/grader.h"

namespace grpo::reward {

struct HttpOptions {
  std::string url;   // http or https
  double timeout_s;  // of one POST, and of the wait for the server at the start
};

/// A grader that is a server: it gets the requests as the JSON array of a POST and answers with the array of replies,
/// in any order. The connection is kept open. start() waits until the server accepts connections. It is in
/// http_curl.cpp; a build without libcurl has http_none.cpp instead, which throws base::Error.
std::unique_ptr<Grader> make_http_grader(const HttpOptions& options);

}  // namespace grpo::reward
