#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "grpo/io/safetensors.h"
#include "grpo/models/weights.h"
#include "grpo/rollout/engine.h"
#include "rollout/small_engine.h"

namespace grpo::testing {

/// Continues each sequence of a golden model greedily, without stopping, and expects the recorded tokens.
inline void expect_golden_greedy(rollout::Engine& engine, const std::filesystem::path& folder) {
  const auto expected = io::Safetensors::open(folder / "expected.safetensors");
  const auto ids = models::tensor_view(expected.at("input_ids")).contiguous();
  const auto mask = models::tensor_view(expected.at("attention_mask"));
  const auto greedy = models::tensor_view(expected.at("greedy")).contiguous();
  std::vector<rollout::Request> requests;
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const auto* first = ids[row].const_data_ptr<int64_t>();
    requests.push_back({.prompt_ids = {first, first + mask[row].sum().item<int64_t>()}});
  }
  const auto groups =
      engine.generate(requests, {.sampling = {.temperature = 0.0}, .max_new_tokens = greedy.size(1)}, kKey);
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const auto* want = greedy[row].const_data_ptr<int64_t>();
    EXPECT_EQ(groups[static_cast<size_t>(row)].completions[0].ids, std::vector<int64_t>(want, want + greedy.size(1)))
        << folder << " row " << row;
  }
}

}  // namespace grpo::testing
