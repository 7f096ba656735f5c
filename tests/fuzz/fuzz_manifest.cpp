// The MANIFEST of a checkpoint, and files that it names: nothing outside of the checkpoint is looked at.
#include <cstdlib>

#include "checkpoint/manifest.h"
#include "fuzz.h"
#include "grpo/checkpoint/store.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace grpo;
  static testing::ScratchFile file("MANIFEST");
  file.with(testing::text_of(data, size));
  testing::may_refuse([] {
    for (const auto& [name, written] : checkpoint::read_manifest(file.folder())) {
      const auto path = (file.folder() / name).lexically_normal();
      if (!path.string().starts_with(file.folder().string())) std::abort();
    }
  });
  testing::may_refuse([] { checkpoint::verify(file.folder()); });
  return 0;
}
