#include "grpo/checkpoint/run_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/checkpoint/store.h"
#include "grpo/io/json.h"
#include "grpo/io/safetensors.h"
#include "grpo/models/weights.h"

namespace grpo::checkpoint {
namespace fs = std::filesystem;
namespace {

constexpr const char* kStateFile = "state.json";
constexpr const char* kReferenceFile = "reference.safetensors";
constexpr const char* kOptimizerPrefix = "optimizer_";

// Whether model/ holds the master weights: an fp32 parameter is its own master.
bool model_folder_holds_masters(const models::CausalLM& model, bool export_model) {
  return export_model && model.dtype() == at::kFloat;
}

void copy_into(at::Tensor& target, const io::TensorBytes& source, const std::string& name, const fs::path& file) {
  const at::Tensor value = models::tensor_view(source);
  if (value.sizes() != target.sizes()) {
    throw base::CheckpointError(
        base::concat(file.string(), ": ", name, " has shape ", value.sizes(), ", expected ", target.sizes()));
  }
  const at::NoGradGuard no_grad;
  target.copy_(value);
}

using models::NamedTensors;

void write_tensors(const fs::path& file, const NamedTensors& tensors) {
  std::vector<std::pair<std::string, io::TensorBytes>> views;
  for (const auto& [name, tensor] : tensors) views.emplace_back(name, models::tensor_bytes(tensor));
  io::write_safetensors(file, views);
}

// The values on the host. With `copy` they stay as they are while training goes on.
NamedTensors taken(const NamedTensors& tensors, bool copy) {
  NamedTensors values;
  for (const auto& [name, tensor] : tensors) values.emplace_back(name, models::to_host(tensor, copy));
  return values;
}

uint64_t bytes_of(const NamedTensors& tensors) {
  uint64_t bytes = 0;
  for (const auto& [name, tensor] : tensors) bytes += tensor.nbytes();
  return bytes;
}

void read_tensors(const fs::path& file, NamedTensors targets) {
  const auto stored = io::Safetensors::open(file);
  for (auto& [name, target] : targets) {
    if (!stored.contains(name)) throw base::CheckpointError(file.string() + ": no tensor " + name);
    copy_into(target, stored.at(name), name, file);
  }
}

void read_model(const fs::path& folder, const models::CausalLM& model) {
  const auto saved = model.saved_in(folder);
  if (!fs::exists(saved.path)) {
    throw base::CheckpointError(base::concat(
        folder.string(), ": no ", saved.path.filename().string(),
        ": it holds a whole model, and this run trains adapters; begin a run with model.path: ", folder.string()));
  }
  read_tensors(saved.path, saved.parameters);
}

// The optimizer files of a checkpoint, whichever number of ranks wrote them. They contain whole tensors called `name`,
// or flat pieces of tensors called `name:<index of the piece's first element>`.
class SavedOptimizer {
 public:
  explicit SavedOptimizer(const fs::path& folder) : folder_(folder) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().rfind(kOptimizerPrefix, 0) == 0) add(entry.path());
    }
  }

  void read(const std::string& name, at::IntArrayRef shape, int64_t begin, at::Tensor& target) const {
    const auto found = pieces_.find(name);
    if (found == pieces_.end()) throw base::CheckpointError(folder_.string() + ": no optimizer state " + name);
    int64_t filled = 0;
    for (const auto& [offset, piece] : found->second) {
      const bool whole = piece.sizes() == shape;
      if (!whole && found->second.size() == 1 && offset == 0 && piece.dim() != 1) {
        throw base::CheckpointError(
            base::concat(folder_.string(), ": ", name, " has shape ", piece.sizes(), ", expected ", shape));
      }
      const int64_t first = std::max(offset, begin);
      const int64_t last = std::min(offset + piece.numel(), begin + target.numel());
      if (first >= last) continue;
      target.narrow(0, first - begin, last - first).copy_(piece.reshape({-1}).narrow(0, first - offset, last - first));
      filled += last - first;
    }
    if (filled != target.numel()) {
      throw base::CheckpointError(
          base::concat(folder_.string(), ": ", name, " has ", filled, " of ", target.numel(), " elements"));
    }
  }

 private:
  void add(const fs::path& file) {
    files_.push_back(io::Safetensors::open(file));
    for (const auto& [name, bytes] : files_.back().tensors()) {
      const size_t colon = name.rfind(':');
      const int64_t begin = colon == std::string::npos ? 0 : first_element(name.substr(colon + 1), file);
      pieces_[name.substr(0, colon)][begin] = models::tensor_view(bytes);
    }
  }

  static int64_t first_element(const std::string& text, const fs::path& file) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size() && number >= 0) return number;
    throw base::CheckpointError(file.string() + ": a tensor's name ends with :" + text +
                                ", expected the number of its first element");
  }

  fs::path folder_;
  std::deque<io::Safetensors> files_;
  std::map<std::string, std::map<int64_t, at::Tensor>> pieces_;  // by name, then by the index of the first element
};

}  // namespace

std::string optimizer_file(int64_t rank, int64_t ranks) {
  char name[64];
  std::snprintf(name, sizeof name, "%s%05lld_of_%05lld.safetensors", kOptimizerPrefix, static_cast<long long>(rank),
                static_cast<long long>(ranks));
  return name;
}

StateWriter optimizer_writer(const models::CausalLM& model, const optim::Optimizer& optimizer,
                             const SaveOptions& options) {
  auto tensors = taken(optimizer.state_tensors(!model_folder_holds_masters(model, options.export_model)), options.copy);
  const uint64_t size = bytes_of(tensors);
  return {.write = [tensors = std::move(tensors), file = optimizer_file(options.rank, options.ranks)](
                       const fs::path& folder) { write_tensors(folder / file, tensors); },
          .bytes = size};
}

StateWriter run_state_writer(const models::CausalLM& model, const optim::Optimizer& optimizer, nlohmann::json state,
                             const SaveOptions& options) {
  std::function<void(const fs::path&)> save_model;
  uint64_t size = 0;
  if (options.export_model) {
    save_model = model.writer(options.tokenizer_source, options.copy);
    size += bytes_of(model.own_parameters());
  }
  NamedTensors reference;
  if (options.reference != nullptr) reference = taken(options.reference->own_parameters(), options.copy);
  state["optimizer"] = {{"updates", optimizer.updates()},
                        {"consecutive_skips", optimizer.consecutive_skips()},
                        {"masters", !model_folder_holds_masters(model, options.export_model)}};
  auto save_optimizer = optimizer_writer(model, optimizer, options);
  size += save_optimizer.bytes + bytes_of(reference);
  return {.write =
              [save_model = std::move(save_model), save_optimizer = std::move(save_optimizer),
               reference = std::move(reference), state = std::move(state)](const fs::path& folder) {
                if (save_model) save_model(folder / "model");
                save_optimizer(folder);
                if (!reference.empty()) write_tensors(folder / kReferenceFile, reference);
                io::write_json(folder / kStateFile, state, 1);
              },
          .bytes = size};
}

// Looks at the sum of each weight, which needs no mask of the weight's size. A sum that overflows also
// belongs to weights that are useless.
void check_finite(const models::CausalLM& model) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : model.own_parameters()) {
    if (std::isfinite(tensor.sum(at::kFloat).item<float>())) continue;
    throw base::Error("the weight " + name + " is not finite");
  }
}

void read_run_state(const fs::path& folder, models::CausalLM& model, optim::Optimizer& optimizer,
                    models::CausalLM* reference) {
  const auto state = read_state_json(folder).at("optimizer");
  const bool masters = state.at("masters").get<bool>();
  if (fs::exists(folder / "model")) {
    read_model(folder / "model", model);
  } else if (!masters) {
    throw base::CheckpointError(folder.string() + ": neither model/ nor master weights");
  }
  if (reference != nullptr && fs::exists(folder / kReferenceFile))
    read_tensors(folder / kReferenceFile, reference->own_parameters());
  const SavedOptimizer saved(folder);
  optimizer.read_state([&saved](const std::string& name, at::IntArrayRef shape, int64_t begin,
                                at::Tensor& target) { saved.read(name, shape, begin, target); },
                       masters);
  optimizer.restore(state.at("updates").get<int64_t>(), state.at("consecutive_skips").get<int64_t>());
}

nlohmann::json read_state_json(const fs::path& folder) {
  if (!fs::exists(folder / kStateFile)) {
    throw base::CheckpointError(folder.string() +
                                ": no state.json; expected a checkpoint folder such as "
                                "runs/NAME/checkpoints/step_00000050");
  }
  const auto state = io::read_json(folder / kStateFile);
  const bool ours = state.is_object() && state.contains("step") && state["step"].is_number_integer();
  if (!ours) throw base::CheckpointError((folder / kStateFile).string() + ": not the state of a run (no step)");
  return state;
}

int64_t check_whole(const fs::path& folder) {
  verify(folder);
  const int64_t step = read_state_json(folder).at("step").get<int64_t>();
  const auto named = step_of_name(folder.filename().string());
  if (named && *named != step) {
    throw base::CheckpointError(
        base::concat(folder.string(), ": holds step ", step, ", not the one it is named after; was it renamed?"));
  }
  return step;
}

}  // namespace grpo::checkpoint
