#pragma once

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/kernels/cuda.h"
#include "grpo/models/causal_lm.h"

// What the benchmarks of scripts/gpu_check.sh share. Each also runs on the CPU, with the shape "tiny", to show that it
// works.

namespace grpo::testing {

inline at::Device kDevice(at::kCUDA, 0);  // set before anything is measured

inline void wait_for_device() {
  if (kDevice.is_cuda()) c10::impl::VirtualGuardImpl(kDevice.type()).synchronizeDevice(0);
}

inline double seconds(const std::function<void()>& work) {
  wait_for_device();
  const auto start = std::chrono::steady_clock::now();
  work();
  wait_for_device();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline void print(const nlohmann::ordered_json& line) {
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

// Takes "--device cpu" from the arguments, wherever it stands; CUDA without it.
inline std::vector<std::string> take_device(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (size_t i = 0; i + 1 < arguments.size(); ++i) {
    if (arguments[i] != "--device") continue;
    if (arguments[i + 1] == "cpu") kDevice = at::Device(at::kCPU);
    arguments.erase(arguments.begin() + static_cast<int64_t>(i), arguments.begin() + static_cast<int64_t>(i) + 2);
    break;
  }
  return arguments;
}

// Ends the program where there is nothing to measure on.
inline void need_device() {
  if (kDevice.is_cpu()) return;
  const std::string problem = kernels::cuda_device_count() == 0 ? "no CUDA device" : kernels::load_cuda();
  if (problem.empty()) return;
  std::fprintf(stderr, "%s\n", problem.c_str());
  std::exit(1);
}

inline models::ModelConfig shape_of(const std::string& name) {
  models::ModelConfig config;
  config.model_type = "qwen2";
  config.vocab_size = 151936;
  config.head_dim = 128;
  config.max_positions = 32768;
  config.qkv_bias = true;
  config.initializer_range = 0.0;  // filled on the device
  if (name == "1.5b") {
    config.hidden_size = 1536;
    config.intermediate_size = 8960;
    config.num_layers = 28;
    config.num_heads = 12;
    config.num_kv_heads = 2;
    config.tied_embeddings = true;
  } else if (name == "7b") {
    config.vocab_size = 152064;
    config.hidden_size = 3584;
    config.intermediate_size = 18944;
    config.num_layers = 28;
    config.num_heads = 28;
    config.num_kv_heads = 4;
    config.tied_embeddings = false;
  } else if (name == "smollm2-135m") {
    config.model_type = "llama";
    config.qkv_bias = false;
    config.vocab_size = 49152;
    config.head_dim = 64;
    config.hidden_size = 576;
    config.intermediate_size = 1536;
    config.num_layers = 30;
    config.num_heads = 9;
    config.num_kv_heads = 3;
    config.tied_embeddings = true;
  } else if (name == "tiny") {
    config.vocab_size = 1024;
    config.head_dim = 64;
    config.hidden_size = 128;
    config.intermediate_size = 256;
    config.num_layers = 2;
    config.num_heads = 2;
    config.num_kv_heads = 1;
    config.tied_embeddings = true;
  } else {
    throw base::Error("no shape " + name + "; there are 1.5b, 7b, smollm2-135m and tiny");
  }
  return config;
}

inline std::unique_ptr<models::CausalLM> random_model(const models::ModelConfig& config,
                                                      at::ScalarType dtype = at::kBFloat16) {
  auto model = models::CausalLM::init(config, 1, dtype, kDevice);
  const at::NoGradGuard no_grad;
  at::manual_seed(1);
  for (const auto& [name, tensor] : model->parameters()) {
    if (name.find("norm") == std::string::npos) at::Tensor(tensor).normal_(0.0, 0.02);
  }
  return model;
}

}  // namespace grpo::testing
