#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <variant>

#include "grpo/base/error.h"
#include "grpo/rollout/sampling_config.h"

namespace grpo::trainer {

/// Calls visit(name, number) for every key of `sampling`, in their order. A plan prints these, and an evaluation's
/// answers are stored under a hash of them; going through the list of keys here keeps a new key from being forgotten in
/// either.
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
