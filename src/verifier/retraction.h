#pragma once

#include <string_view>

namespace grpo::verifier {

/// Whether the text behind a final answer takes it back without stating another one in full: "Wait, that is not
/// right.", "Oops, I meant 6.", "Actually, 6.", "It should be 6." `answer` is the answer as it was written: a sentence
/// that only repeats it ("Yes, 5.") takes nothing back, nor does one that ends in a confirmation ("... so it still
/// holds").
bool is_retracted(std::string_view answer, std::string_view behind);

}  // namespace grpo::verifier
