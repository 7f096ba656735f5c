#include "models/adapters.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "grpo/models/device.h"
#include "grpo/models/freeze.h"
#include "grpo/nn/lm_head.h"
#include "models/cached_pass.h"
#include "models/golden_model.h"
#include "models/small_model.h"
#include "support/golden.h"
#include "support/message_of.h"
#include "support/paths.h"

namespace grpo::models {
namespace {

namespace fs = std::filesystem;
using testing::cached_logits;
using ::testing::HasSubstr;
using testing::max_distance;
using testing::small_config_json;
using testing::small_model;

const std::vector<std::vector<int64_t>> kSequences = {{1, 2, 3, 4, 5, 6, 7, 8, 9}, {5, 6, 11, 60}};

// A factor's numbers, of about the size that training gives them.
void fill(const at::Tensor& factor, double frequency) {
  const at::NoGradGuard no_grad;
  at::Tensor(factor).copy_((at::arange(factor.numel(), at::kDouble) * frequency).sin().view(factor.sizes()).mul_(0.2));
}

std::unique_ptr<CausalLM> adapted_model(const LoraConfig& config, at::ScalarType dtype = at::kFloat,
                                        const std::string& family = "qwen2") {
  auto model = small_model(small_config_json(family), 1, dtype);
  model->add_adapters(config, 7);
  double frequency = 0.7;
  for (const auto& [name, factor] : model->adapters()) fill(factor, frequency += 0.31);
  return model;
}

at::Tensor packed_logits(const CausalLM& model) {
  const at::NoGradGuard no_grad;
  return at::linear(model.hidden_states(nn::PackedBatch::pack(kSequences)), model.head_weight());
}

nn::PackedBatch batch_with_dropout() {
  auto batch = nn::PackedBatch::pack(kSequences);
  batch.dropout_keys = at::arange(batch.num_tokens()) * 7919 + 13;
  return batch;
}

std::vector<at::Tensor> gradients_of(const CausalLM& model, const nn::PackedBatch& batch) {
  at::linear(model.hidden_states(batch), model.head_weight()).square().sum().backward();
  std::vector<at::Tensor> gradients;
  for (const auto& [name, factor] : model.adapters()) gradients.push_back(factor.grad());
  return gradients;
}

TEST(Adapters, AddNothingAtFirst) {
  const auto model = small_model();
  const auto before = packed_logits(*model);
  model->add_adapters({.rank = 4}, 7);
  EXPECT_EQ(model->adapters().size(), 2u * 7u * 2u);  // two factors of seven layers in each of two
  EXPECT_TRUE(at::equal(before, packed_logits(*model)));
}

TEST(Adapters, BeginAsPeftDrawsThem) {
  const auto model = small_model(), again = small_model(), other = small_model();
  model->add_adapters({.rank = 4}, 7);
  again->add_adapters({.rank = 4}, 7);
  other->add_adapters({.rank = 4}, 8);
  for (size_t i = 0; i < model->adapters().size(); ++i) {
    const auto& [name, factor] = model->adapters()[i];
    EXPECT_TRUE(at::equal(factor, again->adapters()[i].second)) << name;
    if (name.ends_with("lora_B.weight")) {
      EXPECT_EQ(factor.abs().max().item<double>(), 0.0) << name;
      continue;
    }
    EXPECT_FALSE(at::equal(factor, other->adapters()[i].second)) << name;
    const double bound = 1.0 / std::sqrt(static_cast<double>(factor.size(1)));
    EXPECT_LE(factor.abs().max().item<double>(), bound) << name;
    EXPECT_GT(factor.abs().max().item<double>(), 0.9 * bound) << name;
    // The standard deviation of a uniform number, with the spread of at least 128 of them.
    EXPECT_NEAR(factor.std().item<double>(), bound / std::sqrt(3.0), 0.15 * bound) << name;
  }
}

TEST(Adapters, AreAllThatIsTrained) {
  const LoraConfig config{.rank = 3, .targets = {"q_proj", "down_proj"}};
  const auto model = adapted_model(config);
  const auto trained = model->trained();
  EXPECT_EQ(trained.parameters.size(), 8u);
  EXPECT_EQ(trained.parameters.front().first, "model.layers.0.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(trained.parameters.back().first, "model.layers.1.mlp.down_proj.lora_B.weight");
  EXPECT_EQ(trained.layers, (std::vector<int64_t>{0, 0, 0, 0, 1, 1, 1, 1}));
  gradients_of(*model, nn::PackedBatch::pack(kSequences));
  for (const auto& [name, weight] : model->parameters()) EXPECT_FALSE(weight.grad().defined()) << name;
  double elements = 0.0;
  for (const auto& [name, factor] : trained.parameters) {
    EXPECT_TRUE(factor.grad().defined()) << name;
    elements += static_cast<double>(factor.numel());
  }
  EXPECT_EQ(adapter_elements(model->config(), config), elements);
  const auto planned = trained_elements(model->config(), {}, config);
  EXPECT_EQ(planned.all, elements);
  EXPECT_FALSE(planned.head);
  EXPECT_EQ(planned.layers_passed, 2);
}

// The layers' weights of the optimizer are views of one memory a layer, and ranks send it as one.
TEST(Adapters, OfALayerShareOneMemory) {
  const auto model = adapted_model({.rank = 3});
  const auto trained = model->trained();
  for (size_t i = 1; i < trained.parameters.size(); ++i) {
    EXPECT_EQ(trained.parameters[i].second.is_alias_of(trained.parameters[i - 1].second),
              trained.layers[i] == trained.layers[i - 1]);
    EXPECT_FALSE(trained.parameters[i].second.is_alias_of(model->parameters()[1].second));
  }
}

TEST(Adapters, HaveTheSameGradientsWhenLayersAreComputedAgain) {
  at::set_num_threads(1);
  const LoraConfig config{.rank = 3, .dropout = 0.3};
  for (const auto& batch : {nn::PackedBatch::pack(kSequences), batch_with_dropout()}) {
    const auto expected = gradients_of(*adapted_model(config), batch);
    for (const Recompute recompute : {Recompute::kSelective, Recompute::kFull}) {
      const auto model = adapted_model(config);
      model->set_training_options({.recompute = recompute});
      const auto found = gradients_of(*model, batch);
      for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected[i])) << i;
    }
  }
}

// In double every layer is its plain formula, which autograd differentiates.
TEST(Adapters, HaveTheGradientsOfThePlainFormulas) {
  for (const std::string family : {"qwen2", "qwen3"}) {
    for (const auto& batch : {nn::PackedBatch::pack(kSequences), batch_with_dropout()}) {
      const LoraConfig config{.rank = 3, .dropout = 0.3};
      const auto expected = gradients_of(*adapted_model(config, at::kDouble, family), batch);
      const auto found = gradients_of(*adapted_model(config, at::kFloat, family), batch);
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_LT(max_distance(found[i], expected[i]), 1e-4 * (1.0 + expected[i].abs().max().item<double>())) << i;
    }
  }
}

TEST(Adapters, SampleAsTheyAreTrained) {
  const auto model = adapted_model({.rank = 3, .targets = {"q_proj", "v_proj", "o_proj", "up_proj", "down_proj"}});
  const auto packed = packed_logits(*model);
  EXPECT_GT(max_distance(packed, packed_logits(*model->twin(CausalLM::TwinAdapters::kNone))), 0.05);
  for (const bool exact : {false, true})
    EXPECT_LT(max_distance(packed, cached_logits(*model, kSequences, 3, exact)), 1e-4) << exact;
  const auto exact = cached_logits(*model, kSequences, 3, true);
  EXPECT_TRUE(at::equal(exact.narrow(0, 0, 9), cached_logits(*model, {kSequences[0]}, 1, true)));
}

TEST(Adapters, SampleAsTheyAreTrainedInBf16) {
  const auto model = adapted_model({.rank = 3}, at::kBFloat16, "qwen3");
  const auto packed = packed_logits(*model).to(at::kFloat);
  const auto cached = cached_logits(*model, kSequences, 3, false).to(at::kFloat);
  // A few roundings of 2^-9 each over two layers.
  EXPECT_LT(max_distance(packed, cached), 3e-2 * packed.abs().max().item<double>());
}

TEST(Adapters, AreSeenBySamplingWhenTheyChange) {
  const auto model = adapted_model({.rank = 3});
  const auto before = cached_logits(*model, kSequences, 5, false);
  fill(model->adapters().back().second, 2.9);
  model->release_sampling_weights();
  const auto after = cached_logits(*model, kSequences, 5, false);
  EXPECT_GT(max_distance(before, after), 1e-3);
  EXPECT_LT(max_distance(packed_logits(*model), after), 1e-4);
}

TEST(Adapters, OfATwinAreItsOwnAndTheWeightsAreShared) {
  const auto model = adapted_model({.rank = 3});
  const auto twin = model->twin(CausalLM::TwinAdapters::kCopies);
  const auto before = packed_logits(*model);
  EXPECT_TRUE(at::equal(before, packed_logits(*twin)));
  for (const auto& [name, factor] : model->adapters()) fill(factor, 0.4);
  EXPECT_TRUE(at::equal(before, packed_logits(*twin)));
  EXPECT_FALSE(at::equal(before, packed_logits(*model)));
  for (size_t i = 0; i < model->parameters().size(); ++i)
    EXPECT_EQ(model->parameters()[i].second.const_data_ptr(), twin->parameters()[i].second.const_data_ptr());
  EXPECT_TRUE(twin->trained().parameters.empty());
}

// A folder with a base model, and one with adapters that name it.
struct Folders {
  testing::TempDir dir;
  fs::path base = dir.path() / "base", adapters = dir.path() / "adapters";

  explicit Folders(const CausalLM& model) {
    model.twin(CausalLM::TwinAdapters::kNone)->save(base, {});
    model.save(adapters, base);
  }
};

TEST(AdapterFolder, IsARoundTrip) {
  const auto model = adapted_model({.rank = 3, .alpha = 5.0, .targets = {"k_proj", "gate_proj"}});
  const Folders folders(*model);
  EXPECT_TRUE(is_adapter_folder(folders.adapters));
  EXPECT_FALSE(is_adapter_folder(folders.base));
  EXPECT_EQ(fs::canonical(base_folder(folders.adapters)), fs::canonical(folders.base));
  const auto loaded = CausalLM::load(folders.adapters, at::kFloat, at::kCPU);
  EXPECT_TRUE(at::equal(packed_logits(*model), packed_logits(*loaded)));
  EXPECT_TRUE(loaded->trained().parameters.size() == loaded->parameters().size());
  const auto config = io::read_json(folders.adapters / "adapter_config.json");
  EXPECT_EQ(config.at("target_modules"), (nlohmann::json{"gate_proj", "k_proj"}));
  EXPECT_EQ(config.at("lora_alpha"), 5);
}

TEST(AdapterFolder, MayBeThatOfItsBase) {
  const auto model = adapted_model({.rank = 3});
  const Folders folders(*model);
  model->save(folders.base, folders.base);
  EXPECT_TRUE(fs::equivalent(base_folder(folders.base), folders.base));
  const auto loaded = CausalLM::load(folders.base, at::kFloat, at::kCPU);
  EXPECT_TRUE(at::equal(packed_logits(*model), packed_logits(*loaded)));
  const auto merged = CausalLM::load_merged(folders.base, at::kFloat, at::kCPU);
  EXPECT_LT(max_distance(packed_logits(*model), packed_logits(*merged)), 1e-4);
  // Adapters of a model that has others beside it: of which of the two they are a change is not said.
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { CausalLM::load(folders.adapters, at::kFloat, at::kCPU); }),
              HasSubstr("adapters lie beside the model"));
}

TEST(AdapterFolder, IsFoundBesideItsBaseWhereverBothAreMoved) {
  const Folders folders(*adapted_model({.rank = 3}));
  auto config = io::read_json(folders.adapters / "adapter_config.json");
  config["base_model_name_or_path"] = "../base";
  io::write_json(folders.adapters / "adapter_config.json", config);
  EXPECT_EQ(fs::canonical(base_folder(folders.adapters)), fs::canonical(folders.base));
  config["base_model_name_or_path"] = "somebody/model";
  io::write_json(folders.adapters / "adapter_config.json", config);
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { base_folder(folders.adapters); }),
              HasSubstr("base_model_name_or_path is \"somebody/model\""));
}

TEST(AdapterFolder, IsRefusedWhereItIsAnotherKindOrOfAnotherModel) {
  const Folders folders(*adapted_model({.rank = 3}));
  const auto refusal = [&](const std::string& key, const nlohmann::json& value) {
    const fs::path file = folders.adapters / "adapter_config.json";
    const auto kept = io::read_json(file);
    auto config = kept;
    config[key] = value;
    io::write_json(file, config);
    const auto message =
        testing::message_of<std::exception>([&] { CausalLM::load(folders.adapters, at::kFloat, at::kCPU); });
    io::write_json(file, kept);
    return message;
  };
  EXPECT_THAT(refusal("use_dora", true), HasSubstr("use_dora is not supported"));
  EXPECT_THAT(refusal("peft_type", "IA3"), HasSubstr("peft_type IA3"));
  EXPECT_THAT(refusal("bias", "all"), HasSubstr("bias all"));
  EXPECT_THAT(refusal("modules_to_save", {"lm_head"}), HasSubstr("modules_to_save"));
  EXPECT_THAT(refusal("alpha_pattern", {{"q_proj", 4}}), HasSubstr("alpha_pattern"));
  for (const char* init : {"pissa_niter_4", "olora", "corda", "loftq"})
    EXPECT_THAT(refusal("init_lora_weights", init), HasSubstr("init_lora_weights " + std::string(init)));
  EXPECT_EQ(refusal("init_lora_weights", "gaussian"), "no error");
  EXPECT_THAT(refusal("r", 4), HasSubstr("q_proj.lora_A.weight has shape [3, 32]"));
  EXPECT_THAT(refusal("r", "four"), HasSubstr("not what peft writes"));
  for (const auto& [key, value] : {std::pair<const char*, nlohmann::json>{"base_model_name_or_path", 5},
                                   {"peft_type", 3},
                                   {"bias", true},
                                   {"use_rslora", "yes"}})
    EXPECT_THAT(refusal(key, value), HasSubstr("adapter_config.json: not what peft writes: type must be")) << key;
  EXPECT_EQ(refusal("r", 3), "no error");
}

TEST(AdapterFolder, IsRefusedWhereAFactorIsNoNumber) {
  const auto model = adapted_model({.rank = 3});
  const Folders folders(*model);
  const auto& [name, factor] = model->adapters()[3];
  {
    const at::NoGradGuard no_grad;
    factor[1][2].fill_(std::numeric_limits<float>::quiet_NaN());
  }
  model->save(folders.adapters, folders.base);
  EXPECT_THAT(testing::message_of<base::IoError>([&] { CausalLM::load(folders.adapters, at::kFloat, at::kCPU); }),
              HasSubstr(name + " holds values that are not finite"));
}

TEST(AdapterFolder, HasAPlaceForEveryTensorOrSaysWhich) {
  auto config = small_config_json();
  config["num_hidden_layers"] = 1;
  const auto model = adapted_model({.rank = 3});
  const Folders folders(*model);
  small_model(config)->save(folders.base, {});  // a model of one layer where there were two
  EXPECT_THAT(testing::message_of<base::IoError>([&] { CausalLM::load(folders.adapters, at::kFloat, at::kCPU); }),
              HasSubstr("28 tensors, of which 14 have a place in the base model"));
}

TEST(Adapters, MergedGiveTheSameModelUpToRounding) {
  const auto model = adapted_model({.rank = 3});
  const Folders folders(*model);
  const auto merged = CausalLM::load_merged(folders.adapters, at::kFloat, at::kCPU);
  EXPECT_TRUE(merged->adapters().empty());
  EXPECT_LT(max_distance(packed_logits(*model), packed_logits(*merged)), 1e-4);
  EXPECT_LT(max_distance(packed_logits(*model), cached_logits(*merged, kSequences, 4, false)), 1e-4);
  merged->save(folders.dir.path() / "merged", {});
  const auto loaded = CausalLM::load(folders.dir.path() / "merged", at::kFloat, at::kCPU);
  EXPECT_TRUE(at::equal(packed_logits(*merged), packed_logits(*loaded)));
}

// As those that a CPU trains in fp32 beside a base model in half precision.
TEST(Adapters, AreMergedInFloat32AndRoundedOnce) {
  const at::NoGradGuard no_grad;
  for (const auto dtype : {at::kHalf, at::kBFloat16}) {
    const testing::TempDir dir;
    const fs::path base = dir.path() / "base", adapters = dir.path() / "adapters";
    small_model(small_config_json("qwen2"), 1, dtype)->save(base, {});
    const auto model = CausalLM::load(base, at::kFloat, at::kCPU);
    model->add_adapters({.rank = 3, .targets = {"o_proj"}}, 7);
    double frequency = 0.7;
    for (const auto& [name, factor] : model->adapters()) fill(factor, frequency += 0.31);
    model->save(adapters, base);
    EXPECT_EQ(stored_dtype(base), dtype);
    const auto merged = CausalLM::load_merged(adapters, stored_dtype(base), at::kCPU);
    merged->save(dir.path() / "merged", base);
    EXPECT_EQ(stored_dtype(dir.path() / "merged"), dtype);
    const auto loaded = CausalLM::load(dir.path() / "merged", dtype, at::kCPU);
    const auto& factors = model->adapters();
    for (size_t i = 0; i < loaded->parameters().size(); ++i) {
      const auto& [name, weight] = model->parameters()[i];
      auto expected = weight;
      for (size_t f = 0; f < factors.size(); f += 2) {
        if (factors[f].first == name.substr(0, name.rfind('.')) + ".lora_A.weight")
          expected = at::addmm(weight, factors[f + 1].second, factors[f].second, 1, 16.0 / 3.0);
      }
      EXPECT_TRUE(at::equal(loaded->parameters()[i].second, expected.to(dtype))) << name;
    }
  }
}

TEST(LoraConfig, RefusesATargetThatIsNoLinearLayer) {
  EXPECT_THAT(testing::message_of<base::ConfigError>([] { validate(LoraConfig{.rank = 1, .targets = {"lm_head"}}); }),
              HasSubstr("model.lora.targets: lm_head is none of all-linear, q_proj"));
  EXPECT_THAT(testing::message_of<base::ConfigError>([] { validate(LoraConfig{.rank = 1, .targets = {}}); }),
              HasSubstr("names no layer"));
  validate(LoraConfig{.rank = 1, .targets = {"o_proj"}});
}

// What peft computes with adapters that it saved (make_lora_golden.py).
class AdaptersOfPeft : public ::testing::TestWithParam<std::pair<const char*, const char*>> {
 protected:
  const fs::path golden_ = testing::source_dir() / "tests" / "golden";
  const fs::path folder_ = golden_ / "lora" / GetParam().first;
  const testing::GoldenModel base_{golden_ / "models" / GetParam().second};
  const io::Safetensors expected_ = io::Safetensors::open(folder_ / "expected.safetensors");

  at::Tensor packed(const std::string& name) const {
    const auto padded = testing::to_tensor(expected_.at(name));
    std::vector<at::Tensor> parts;
    for (size_t s = 0; s < base_.sequences().size(); ++s)
      parts.push_back(padded[static_cast<int64_t>(s)].narrow(0, 0, base_.length(s)));
    return at::cat(parts);
  }
};
INSTANTIATE_TEST_SUITE_P(All, AdaptersOfPeft,
                         ::testing::Values(std::pair{"qwen2_all", "qwen2_tied"}, std::pair{"qwen3_all", "qwen3_tied"},
                                           std::pair{"llama_some_rslora", "llama_linear_bias"}));

TEST_P(AdaptersOfPeft, AreTheSameWhenSavedAgain) {
  const at::NoGradGuard no_grad;
  const testing::TempDir dir;
  const auto model = CausalLM::load(folder_, at::kFloat, at::kCPU);
  model->save(dir.path(), base_folder(folder_));
  const auto again = CausalLM::load(dir.path(), at::kFloat, at::kCPU);
  const auto batch = nn::PackedBatch::pack(base_.sequences());
  EXPECT_LT(max_distance(again->hidden_states(batch), model->hidden_states(batch)), 1e-5);
}

TEST_P(AdaptersOfPeft, GiveItsLogits) {
  const at::NoGradGuard no_grad;
  const auto model = CausalLM::load(folder_, at::kFloat, at::kCPU);
  const auto batch = nn::PackedBatch::pack(base_.sequences());
  const auto logits = at::linear(model->hidden_states(batch), model->head_weight());
  EXPECT_LT(max_distance(logits, packed("logits")), testing::kLogitTolerance);
  EXPECT_LT(max_distance(cached_logits(*model, base_.sequences(), 5, false), packed("logits")),
            testing::kLogitTolerance);
  const auto whole = CausalLM::load_merged(folder_, at::kFloat, at::kCPU);
  const auto merged = at::linear(whole->hidden_states(batch), whole->head_weight());
  EXPECT_LT(max_distance(merged, packed("merged_logits")), testing::kLogitTolerance);
  EXPECT_GT(max_distance(logits, base_.packed("logits")), 0.01);
}

TEST_P(AdaptersOfPeft, GetItsGradients) {
  const auto model = CausalLM::load(folder_, at::kFloat, at::kCPU);
  for (const auto& [name, factor] : model->adapters()) at::Tensor(factor).set_requires_grad(true);
  const auto batch = nn::PackedBatch::pack(base_.sequences());
  std::vector<int64_t> rows, targets;
  for (size_t s = 0; s < base_.sequences().size(); ++s) {
    for (int64_t t = 1; t < base_.length(s); ++t) {
      rows.push_back(batch.offsets[s] + t - 1);
      targets.push_back(base_.sequences()[s][static_cast<size_t>(t)]);
    }
  }
  const auto hidden = model->hidden_states(batch).index_select(0, at::tensor(rows, at::kLong));
  const auto nll =
      -nn::token_log_probs(hidden, model->head_weight(), at::tensor(targets, at::kLong), {}).log_probs.mean();
  EXPECT_NEAR(nll.item<double>(), testing::to_tensor(expected_.at("nll")).item<double>(), testing::kLogProbTolerance);
  nll.backward();
  for (const auto& [name, factor] : model->adapters()) {
    const auto expected = testing::to_tensor(expected_.at("grad." + name));
    EXPECT_LT(max_distance(factor.grad(), expected), testing::kGradientTolerance) << name;
    EXPECT_GT(expected.abs().max().item<double>(), 100 * testing::kGradientTolerance) << name;
  }
  EXPECT_EQ(expected_.tensors().size(), model->adapters().size() + 3);
}

}  // namespace
}  // namespace grpo::models
