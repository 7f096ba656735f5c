// Problem files. The first byte chooses the format: JSONL rows, a JSON array, CSV.
#include <array>

#include "fuzz.h"
#include "grpo/base/log.h"
#include "grpo/data/dataset.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::array<grpo::testing::ScratchFile, 3> files = {
      grpo::testing::ScratchFile("a.jsonl"), grpo::testing::ScratchFile("a.json"), grpo::testing::ScratchFile("a.csv")};
  if (size == 0) return 0;
  grpo::base::set_quiet(true);
  const auto file = files[data[0] == '['   ? 1
                          : data[0] == ',' ? 2
                                           : 0]
                        .with(grpo::testing::text_of(data + 1, size - 1))
                        .string();
  for (const char* answer : {"answer", "a.b"}) {
    grpo::testing::may_refuse([&] { grpo::data::load_problems({file}, "problem", answer); });
  }
  return 0;
}
