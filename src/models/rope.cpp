#include "models/rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <string_view>

#include "grpo/base/error.h"
#include "models/family.h"

namespace grpo::models {
namespace {

using Scaling = RopeConfig::Scaling;

constexpr const char* kFullAttention = "full_attention";

constexpr std::pair<const char*, Scaling> kScalings[] = {
    {"default", Scaling::kNone}, {"linear", Scaling::kLinear}, {"llama3", Scaling::kLlama3}, {"yarn", Scaling::kYarn}};

Scaling scaling_of(const std::string& name, const std::string& where) {
  for (const auto& [known, scaling] : kScalings) {
    if (name == known) return scaling;
  }
  throw base::ConfigError(where + ": rope scaling " + name +
                          " is not supported (known: default, linear, llama3, yarn)");
}

const char* name_of(Scaling scaling) {
  for (const auto& [name, known] : kScalings) {
    if (scaling == known) return name;
  }
  GRPO_CHECK(false, "rope scaling ", static_cast<int>(scaling));
}

void refuse_partial_rotation(const nlohmann::json& json, const std::string& where) {
  const double factor = value_or(json, "partial_rotary_factor", 1.0);
  if (factor != 1.0) {
    throw base::ConfigError(base::concat(where, ": partial_rotary_factor ", factor,
                                         " is not supported; expected 1 (whole heads are rotated)"));
  }
}

void check_rope(const RopeConfig& rope, const std::string& where) {
  const auto require = [&](bool holds, const char* what) {
    if (!holds) throw base::ConfigError(where + ": rope " + what);
  };
  require(rope.theta > 0.0, "theta must be above 0");
  require(rope.factor > 0.0, "scaling factor must be above 0");
  require(
      rope.scaling != Scaling::kLlama3 || (rope.low_freq_factor > 0.0 && rope.high_freq_factor > rope.low_freq_factor),
      "scaling llama3 needs 0 < low_freq_factor < high_freq_factor");
  require(rope.scaling == Scaling::kNone || rope.scaling == Scaling::kLinear || rope.original_max_positions > 0,
          "scaling needs original_max_position_embeddings above 0");
}

std::optional<double> optional_number(const nlohmann::json& json, const char* key) {
  return json.contains(key) && !json.at(key).is_null() ? std::optional(json.at(key).get<double>()) : std::nullopt;
}

void read_scaling(const nlohmann::json& json, int64_t max_positions, const std::string& where, RopeConfig& rope) {
  const auto type = value_or<std::string>(json, "rope_type", value_or<std::string>(json, "type", "default"));
  rope.scaling = scaling_of(type, where);
  rope.original_max_positions = value_or<int64_t>(json, "original_max_position_embeddings", max_positions);
  const double stretched =
      static_cast<double>(max_positions) / static_cast<double>(std::max<int64_t>(rope.original_max_positions, 1));
  rope.factor = value_or(json, "factor", rope.scaling == Scaling::kYarn ? stretched : 1.0);
  rope.low_freq_factor = value_or(json, "low_freq_factor", rope.low_freq_factor);
  rope.high_freq_factor = value_or(json, "high_freq_factor", rope.high_freq_factor);
  rope.beta_fast = value_or(json, "beta_fast", rope.beta_fast);
  rope.beta_slow = value_or(json, "beta_slow", rope.beta_slow);
  rope.truncate = value_or(json, "truncate", true);
  rope.attention_factor = optional_number(json, "attention_factor");
  rope.mscale = optional_number(json, "mscale");
  rope.mscale_all_dim = optional_number(json, "mscale_all_dim");
}

// transformers 5 may nest the parameters by layer type. Here every layer has the type full_attention.
const nlohmann::json& of_full_attention(const nlohmann::json& parameters, const std::string& where) {
  const bool nested =
      std::any_of(parameters.begin(), parameters.end(), [](const nlohmann::json& value) { return value.is_object(); });
  if (!nested) return parameters;
  const auto found = parameters.find(kFullAttention);
  if (found != parameters.end() && found->is_object()) return *found;
  throw base::ConfigError(
      base::concat(where, ": the rope parameters are nested by layer type, and none are for ", kFullAttention));
}

// Every operation below is in fp32 and in transformers' order, so that the frequencies are equal bit for bit: an error
// of one unit in the last place already makes 2e-3 radians at position 30,000.

at::Tensor plain_periods(double theta, int64_t head_dim) {  // theta^(2i/d)
  return at::pow(theta, at::arange(0, head_dim, 2, at::kLong).to(at::kFloat) / head_dim);
}

// Wavelengths above original / low_freq_factor are stretched by factor, those below original / high_freq_factor are
// kept, and those in between are blended.
at::Tensor llama3_frequencies(const RopeConfig& rope, const at::Tensor& plain) {
  const auto original = static_cast<double>(rope.original_max_positions);
  const auto wavelength = plain.reciprocal() * (2.0 * std::numbers::pi);
  const auto is_long = wavelength > original / rope.low_freq_factor;
  const auto is_short = wavelength < original / rope.high_freq_factor;
  const auto stretched = at::where(is_long, plain / rope.factor, plain);
  const auto smooth =
      (wavelength.reciprocal() * original - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  const auto blended = (1.0 - smooth) * stretched / rope.factor + smooth * stretched;
  return at::where(is_long.logical_or(is_short), stretched, blended);
}

// The dimension whose frequency makes `rotations` full turns over the original context (arXiv
// 2309.00071, eq. 17 solved for d).
double yarn_dimension(const RopeConfig& rope, double head_dim, double rotations) {
  const auto original = static_cast<double>(rope.original_max_positions);
  return head_dim * std::log(original / (rotations * 2.0 * std::numbers::pi)) / (2.0 * std::log(rope.theta));
}

at::Tensor yarn_frequencies(const RopeConfig& rope, int64_t head_dim) {
  const auto d = static_cast<double>(head_dim);
  double low = yarn_dimension(rope, d, rope.beta_fast);
  double high = yarn_dimension(rope, d, rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, d - 1.0);
  if (low == high) high += 0.001;
  const auto periods = plain_periods(rope.theta, head_dim);
  const auto keep = 1.0 - ((at::arange(head_dim / 2, at::kFloat) - low) / (high - low)).clamp(0.0, 1.0);
  return (periods * rope.factor).reciprocal() * (1.0 - keep) + periods.reciprocal() * keep;
}

double yarn_mscale(double factor, double mscale) { return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0; }

double yarn_attention_scaling(const RopeConfig& rope) {
  if (rope.attention_factor) return *rope.attention_factor;
  if (rope.mscale && rope.mscale_all_dim && *rope.mscale != 0.0 && *rope.mscale_all_dim != 0.0) {
    return yarn_mscale(rope.factor, *rope.mscale) / yarn_mscale(rope.factor, *rope.mscale_all_dim);
  }
  return yarn_mscale(rope.factor, 1.0);
}

}  // namespace

RopeConfig read_rope(const nlohmann::json& json, int64_t max_positions, const std::string& where) {
  RopeConfig rope;
  rope.theta = value_or(json, "rope_theta", rope.theta);
  refuse_partial_rotation(json, where);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {  // of transformers 5 and 4
    if (!json.contains(key) || !json.at(key).is_object()) continue;
    const auto& parameters = of_full_attention(json.at(key), where + ": " + key);
    refuse_partial_rotation(parameters, where);
    rope.theta = value_or(parameters, "rope_theta", rope.theta);
    read_scaling(parameters, max_positions, where, rope);
    break;
  }
  check_rope(rope, where);
  return rope;
}

void set_rope_theta(nlohmann::json& json, double theta) {
  const auto is_object = [&](const char* key) { return json.contains(key) && json.at(key).is_object(); };
  const char* key = is_object("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!is_object(key)) {
    json["rope_theta"] = theta;
    return;
  }
  auto& all = json[key];
  auto& parameters = all.contains(kFullAttention) ? all[kFullAttention] : all;
  // transformers 4 has the base beside rope_scaling, but what is in there counts.
  const bool is_inside = key == std::string_view("rope_parameters") || parameters.contains("rope_theta");
  (is_inside ? parameters : json)["rope_theta"] = theta;
}

nlohmann::json scaling_to_json(const RopeConfig& rope) {
  if (rope.scaling == Scaling::kNone) return nullptr;
  nlohmann::json json = {{"rope_type", name_of(rope.scaling)}, {"factor", rope.factor}};
  if (rope.scaling == Scaling::kLinear) return json;
  json["original_max_position_embeddings"] = rope.original_max_positions;
  if (rope.scaling == Scaling::kLlama3) {
    json["low_freq_factor"] = rope.low_freq_factor;
    json["high_freq_factor"] = rope.high_freq_factor;
    return json;
  }
  json["beta_fast"] = rope.beta_fast;
  json["beta_slow"] = rope.beta_slow;
  json["truncate"] = rope.truncate;
  if (rope.attention_factor) json["attention_factor"] = *rope.attention_factor;
  if (rope.mscale) json["mscale"] = *rope.mscale;
  if (rope.mscale_all_dim) json["mscale_all_dim"] = *rope.mscale_all_dim;
  return json;
}

RopeFrequencies rope_frequencies(const RopeConfig& rope, int64_t head_dim) {
  if (rope.scaling == Scaling::kYarn) return {yarn_frequencies(rope, head_dim), yarn_attention_scaling(rope)};
  const auto plain = plain_periods(rope.theta, head_dim).reciprocal();
  if (rope.scaling == Scaling::kLinear) return {plain / rope.factor};
  if (rope.scaling == Scaling::kLlama3) return {llama3_frequencies(rope, plain)};
  return {plain};
}

std::pair<at::Tensor, at::Tensor> rope_tables(const RopeFrequencies& frequencies, int64_t positions,
                                              at::Device device) {
  const auto angles = at::outer(at::arange(positions, at::kFloat), frequencies.inv_freq);
  return {(angles.cos() * frequencies.attention_scaling).to(device),
          (angles.sin() * frequencies.attention_scaling).to(device)};
}

}  // namespace grpo::models
