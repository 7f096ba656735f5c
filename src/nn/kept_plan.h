#pragma once

#include <ATen/core/custom_class.h>
#include <ATen/core/ivalue.h>

#include <utility>

#include "grpo/nn/attention.h"

namespace grpo::nn {

/// A node's saved data can hold only tensors and custom classes, so an attention's plan is wrapped in one.
struct KeptPlan : torch::CustomClassHolder {
  explicit KeptPlan(AttentionPlan p) : plan(std::move(p)) {}
  AttentionPlan plan;
};

inline c10::IValue keep_plan(const AttentionPlan& plan) {
  return c10::IValue::make_capsule(c10::make_intrusive<KeptPlan>(plan));
}

/// Valid as long as `kept` is.
inline const AttentionPlan& kept_plan(const c10::IValue& kept) {
  return static_cast<KeptPlan*>(kept.toCapsule().get())->plan;
}

}  // namespace grpo::nn
