#include "grpo/base/error.h"
#include "reward/http_grader.h"

namespace grpo::reward {

std::unique_ptr<Grader> make_http_grader(const HttpOptions&) {
  throw base::Error(
      "this build asks no servers; build with -DGRPO_WITH_CURL=ON (Debian, Ubuntu: libcurl4-openssl-dev)");
}

}  // namespace grpo::reward
