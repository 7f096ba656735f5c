// A tokenizer.json: what is accepted encodes and decodes any text, and ids are inside the vocabulary.
#include <cstdlib>

#include "fuzz.h"
#include "grpo/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static grpo::testing::ScratchFile file("tokenizer.json");
  grpo::testing::may_refuse([&] {
    const auto tokenizer = grpo::tokenizer::Tokenizer::load(file.with(grpo::testing::text_of(data, size)));
    for (const char* text :
         {"", "a", "ab 12+3=\n<|im_end|> \xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xff", "            x's"}) {
      const auto ids = tokenizer->encode(text);
      for (const int64_t id : ids) {
        if (id < 0 || id >= tokenizer->vocab_size()) std::abort();
      }
      tokenizer->decode(ids, true);
      tokenizer->encode(text, false);
    }
  });
  return 0;
}
