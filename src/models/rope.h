#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>

#include "grpo/models/model_config.h"

namespace grpo::models {

/// Reads the rotary settings as written by transformers 4 (rope_theta and rope_scaling) or 5 (rope_parameters,
/// which may be nested by layer type).
RopeConfig read_rope(const nlohmann::json& json, int64_t max_positions, const std::string& where);

/// Writes the rotary base to the place where read_rope finds it.
void set_rope_theta(nlohmann::json& json, double theta);

/// The value of config.json's rope_scaling; null without scaling.
nlohmann::json scaling_to_json(const RopeConfig& rope);

struct RopeFrequencies {
  at::Tensor inv_freq;             // [head_dim / 2] fp32, radians per position, after scaling
  double attention_scaling = 1.0;  // factor on cos and sin (yarn)
};

/// Frequencies theta^(-2i/d), scaled. linear divides by factor (arXiv 2306.15595); llama3 divides those of long
/// wavelengths and blends in between (Llama 3.1 model card); yarn blends by wavelength (arXiv 2309.00071).
RopeFrequencies rope_frequencies(const RopeConfig& rope, int64_t head_dim);

/// Tables of cos and sin, [positions, head_dim / 2] fp32, multiplied by attention_scaling.
std::pair<at::Tensor, at::Tensor> rope_tables(const RopeFrequencies& frequencies, int64_t positions, at::Device device);

}  // namespace grpo::models
