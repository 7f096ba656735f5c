#include "grpo/checkpoint/run_state.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "grpo/io/safetensors.h"
#include "grpo/models/weights.h"

namespace grpo::checkpoint {
namespace fs = std::filesystem;
namespace {

constexpr const char* kOptimizerFile = "optimizer_00000_of_00001.safetensors";
constexpr const char* kStateFile = "state.json";

// Masters are the weights themselves for fp32 parameters; model/ then already holds them.
bool model_folder_holds_masters(const models::CausalLM& model, bool export_model) {
  return export_model && model.dtype() == at::kFloat;
}

void copy_into(at::Tensor& target, const io::TensorBytes& source, const std::string& name, const fs::path& file) {
  const at::Tensor value = models::tensor_view(source);
  if (value.sizes() != target.sizes()) {
    throw base::CheckpointError(base::concat(file.string(), ": ", name, " has shape ", value.sizes(), ", expected ", target.sizes()));
  }
  const at::NoGradGuard no_grad;
  target.copy_(value);
}

void read_tensors(const fs::path& file, std::vector<std::pair<std::string, at::Tensor>> targets) {
  const auto stored = io::Safetensors::open(file);
  for (auto& [name, target] : targets) {
    if (!stored.contains(name)) throw base::CheckpointError(file.string() + ": no tensor " + name);
    copy_into(target, stored.at(name), name, file);
  }
}

}  // namespace

std::function<void(const fs::path&)> run_state_writer(const models::CausalLM& model, const optim::AdamW& optimizer, nlohmann::json state,
                                                      const SaveOptions& options) {
  std::function<void(const fs::path&)> save_model;
  if (options.export_model) save_model = model.writer(options.tokenizer_source, options.copy);
  const bool masters = !model_folder_holds_masters(model, options.export_model);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& [name, tensor] : optimizer.state_tensors(masters)) tensors.emplace_back(name, models::to_host(tensor, options.copy));
  state["optimizer"] = {{"updates", optimizer.updates()}, {"consecutive_skips", optimizer.consecutive_skips()}, {"masters", masters}};
  return [save_model = std::move(save_model), tensors = std::move(tensors), state = std::move(state)](const fs::path& folder) {
    if (save_model) save_model(folder / "model");
    std::vector<std::pair<std::string, io::TensorBytes>> views;
    for (const auto& [name, tensor] : tensors) views.emplace_back(name, models::tensor_bytes(tensor));
    io::write_safetensors(folder / kOptimizerFile, views);
    io::write_json(folder / kStateFile, state, 1);
  };
}

void read_run_state(const fs::path& folder, models::CausalLM& model, optim::AdamW& optimizer) {
  const auto state = read_state_json(folder).at("optimizer");
  const bool masters = state.at("masters").get<bool>();
  if (fs::exists(folder / "model")) {
    read_tensors(folder / "model", model.parameters());
  } else if (!masters) {
    throw base::CheckpointError(folder.string() + ": neither model/ nor master weights");
  }
  read_tensors(folder / kOptimizerFile, optimizer.state_tensors(masters));
  optimizer.restore(state.at("updates").get<int64_t>(), state.at("consecutive_skips").get<int64_t>());
}

nlohmann::json read_state_json(const fs::path& folder) {
  if (!fs::exists(folder / kStateFile)) {
    throw base::CheckpointError(folder.string() + ": no state.json; expected a checkpoint folder such as "
                                                  "runs/NAME/checkpoints/step_00000050");
  }
  return io::read_json(folder / kStateFile);
}

}  // namespace grpo::checkpoint
