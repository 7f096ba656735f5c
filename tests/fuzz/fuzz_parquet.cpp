// A Parquet file, damaged anywhere: its metadata, pages, or values.
#include "fuzz.h"
#include "grpo/data/dataset.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static grpo::testing::ScratchFile file("a.parquet");
  const auto path = file.with(grpo::testing::text_of(data, size)).string();
  grpo::testing::may_refuse([&] { grpo::data::load_problems({path}, "problem", "answer"); });
  return 0;
}
