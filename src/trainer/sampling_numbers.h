#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <variant>

#include "grpo/base/error.h"
#include "grpo/rollout/sampling_config.h"

namespace grpo::trainer {

/// Calls visit(name, number) for every key of `sampling`, in their order: what a plan prints and what the answers of an
/// evaluation depend on follow the list of keys, so that a new one is in both.
template <typename Visit>
void for_each_number(rollout::SamplingConfig sampling, const Visit& visit) {
  for (const auto& field : base::fields_of(sampling).list()) {
    std::visit(
        [&]<typename Value>(const Value& value) {
          if constexpr (std::is_same_v<Value, int64_t*> || std::is_same_v<Value, double*>)
            visit(field.name, *value);
          else
            GRPO_CHECK(false, "sampling.", field.name, " is no number");
        },
        field.value);
  }
}

}  // namespace grpo::trainer
