#include "data/rows.h"
#include "grpo/base/error.h"

namespace grpo::data {

std::unique_ptr<RowSource> open_parquet(const std::string& file, const std::vector<std::string>&) {
  throw base::IoError(
      file + ": this build reads no Parquet; build with -DGRPO_WITH_PARQUET=ON, or convert the file to .jsonl");
}

}  // namespace grpo::data
