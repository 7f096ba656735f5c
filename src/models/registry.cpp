#include "models/family.h"

namespace grpo::models {

const std::vector<Family>& families() {
  static const std::vector<Family> table = {kQwen2, kQwen3, kLlama};
  return table;
}

}  // namespace grpo::models
