#include "grpo/io/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/io/json.h"
#include "grpo/io/mapped_file.h"
#include "io/atomic_file.h"
#include "io/safetensors_header.h"

namespace grpo::io {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

fs::path file_in_folder(const fs::path& folder) {
  for (const char* name : {kSingleFile, kIndexFile}) {
    if (fs::exists(folder / name)) return folder / name;
  }
  const bool pickled = fs::exists(folder / "pytorch_model.bin") || fs::exists(folder / "pytorch_model.bin.index.json");
  throw base::IoError(base::concat(folder.string(), ": neither ", kSingleFile, " nor ", kIndexFile,
                                   pickled ? "; pytorch_model.bin is not read, save the model as safetensors" : ""));
}

std::map<std::string, std::string> read_weight_map(const fs::path& index) {
  const auto json = read_json(index);
  const auto found = json.is_object() ? json.find("weight_map") : json.end();
  if (found == json.end() || !found->is_object()) throw base::IoError(index.string() + ": no weight_map");
  std::map<std::string, std::string> shard_of;
  for (const auto& [name, shard] : found->items()) {
    // Only a plain file name is accepted: an index from elsewhere must not reach outside its folder.
    if (!shard.is_string() || fs::path(shard.get<std::string>()).filename() != fs::path(shard.get<std::string>())) {
      throw base::IoError(index.string() + ": tensor " + name + ": shard " + shard.dump() + ", expected a file name");
    }
    shard_of.emplace(name, shard.get<std::string>());
  }
  return shard_of;
}

}  // namespace

struct Safetensors::State {
  fs::path path;
  std::vector<std::unique_ptr<MappedFile>> files;
  std::map<std::string, TensorBytes> tensors;

  std::map<std::string, TensorBytes> map_file(const fs::path& file) {
    files.push_back(std::make_unique<MappedFile>(file));
    return parse_safetensors(files.back()->bytes(), file);
  }
  void map_shards();
};

void Safetensors::State::map_shards() {
  const auto shard_of = read_weight_map(path);
  std::map<std::string, std::map<std::string, TensorBytes>> shards;
  for (const auto& [name, shard] : shard_of) {
    const fs::path file = path.parent_path() / shard;
    if (!shards.contains(shard)) {
      if (!fs::exists(file)) {
        throw base::IoError(path.string() + ": names the shard " + shard +
                            ", which is missing; copy or download it again");
      }
      shards.emplace(shard, map_file(file));
    }
    const auto found = shards[shard].find(name);
    if (found == shards[shard].end())
      throw base::IoError(file.string() + ": no tensor " + name + ", which " + path.string() + " promises");
    tensors.emplace(*found);
  }
}

Safetensors::Safetensors() : state_(std::make_unique<State>()) {}
Safetensors::Safetensors(Safetensors&&) noexcept = default;
Safetensors& Safetensors::operator=(Safetensors&&) noexcept = default;
Safetensors::~Safetensors() = default;

Safetensors Safetensors::open(const fs::path& path) {
  Safetensors opened;
  State& state = *opened.state_;
  state.path = fs::is_directory(path) ? file_in_folder(path) : path;
  if (state.path.extension() == ".json") {
    state.map_shards();
  } else {
    state.tensors = state.map_file(state.path);
  }
  return opened;
}

bool Safetensors::contains(const std::string& name) const { return state_->tensors.contains(name); }

const TensorBytes& Safetensors::at(const std::string& name) const {
  const auto found = state_->tensors.find(name);
  if (found != state_->tensors.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, tensor] : state_->tensors) names.push_back(known);
  const std::string nearest = base::nearest_name(name, names);
  throw base::IoError(base::concat(state_->path.string(), ": no tensor ", name, " among ", names.size(),
                                   nearest.empty() ? "" : " (nearest: " + nearest + ")"));
}

const std::map<std::string, TensorBytes>& Safetensors::tensors() const { return state_->tensors; }

void write_safetensors(const fs::path& path, const std::vector<std::pair<std::string, TensorBytes>>& tensors) {
  std::vector<const std::pair<std::string, TensorBytes>*> order;
  std::set<std::string> names;
  for (const auto& entry : tensors) {
    const auto& [name, tensor] = entry;
    const int64_t count = num_elements(tensor.shape);
    GRPO_CHECK(names.insert(name).second, path.string(), ": tensor ", name, " given twice");
    GRPO_CHECK(count >= 0 && static_cast<size_t>(count) * dtype_size(tensor.dtype) == tensor.bytes.size(),
               path.string(), ": tensor ", name, ": ", tensor.bytes.size(), " bytes for ", count, " elements of ",
               dtype_name(tensor.dtype));
    order.push_back(&entry);
  }
  // The format allows no gaps. With wide types first every tensor still lies at a multiple of its element size.
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return dtype_size(a->second.dtype) > dtype_size(b->second.dtype);
  });
  AtomicFile file(path);
  file.write(make_safetensors_header(order));
  for (const auto* entry : order) {
    const auto bytes = entry->second.bytes;
    file.write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  file.commit();
}

}  // namespace grpo::io
