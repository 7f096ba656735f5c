#include "trainer/reference_log_probs.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "grpo/base/cache.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/io/file.h"
#include "grpo/io/hash.h"
#include "grpo/trainer/answer_store.h"
#include "grpo/update/update.h"
#include "trainer/gather_json.h"
#include "trainer/sum_over_ranks.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

using References = std::vector<ReferencePair>;

constexpr size_t kPairsAtOnce = 512;  // bounds the memory, since sequences hold a number for each token

// Says which weights and pairs the log-probs belong to. It is written into the file, and its hash is the file's name.
nlohmann::json identity_of(const ReferenceRequest& request) {
  std::string all;
  for (size_t i = 0; i < request.prompts.size(); ++i)
    all += hash_ids(request.prompts[i].ids) + hash_ids(request.chosen[i]) + hash_ids(request.rejected[i]);
  return {{"weights", request.weights}, {"pairs", io::hash_bytes(all)}, {"count", request.prompts.size()}};
}

nlohmann::json to_json(const References& references) {
  auto rows = nlohmann::json::array();
  for (const auto& pair : references) rows.push_back({pair.chosen, pair.rejected});
  return rows;
}

References from_json(const nlohmann::json& rows) {
  References references;
  for (const auto& row : rows) references.push_back({row.at(0).get<double>(), row.at(1).get<double>()});
  return references;
}

// Reads the log-probs from the file; nullopt where there is none, or where it is damaged or belongs to other weights.
std::optional<References> read(const fs::path& file, const nlohmann::json& identity) {
  if (file.empty() || !fs::exists(file)) return {};
  try {
    const auto stored = nlohmann::json::parse(io::read_file(file));
    const auto& rows = stored.at("log_probs");
    if (stored.at("of") == identity && stored.at("print") == io::hash_bytes(rows.dump())) return from_json(rows);
  } catch (const std::exception&) {  // a file that cannot be parsed is treated as one that is not whole
  }
  base::log_warning(file.string() + " is not whole, or not of these weights and pairs; it is written anew");
  return {};
}

void write(const fs::path& file, const nlohmann::json& identity, const References& references) {
  if (file.empty()) return;
  const auto rows = to_json(references);
  try {
    fs::create_directories(file.parent_path());
    io::write_file_atomic(
        file,
        nlohmann::json{{"of", identity}, {"print", io::hash_bytes(rows.dump())}, {"log_probs", rows}}.dump() + "\n");
    base::log_info("the reference's log-probs are kept in " + file.string());
  } catch (const std::exception& error) {
    base::log_warning(base::concat("the reference's log-probs are not kept: ", error.what()));
  }
}

std::vector<update::Sequence> sequences_of(const ReferenceRequest& request, size_t first, size_t last) {
  std::vector<update::Sequence> sequences;
  for (size_t i = first; i < last; ++i) {
    sequences.push_back(update::sequence_of(request.prompts[i].ids, request.chosen[i]));
    sequences.push_back(update::sequence_of(request.prompts[i].ids, request.rejected[i]));
  }
  return sequences;
}

// The sum of the log-probs of each sequence. It is 0 for those whose log-probs another rank has computed.
std::vector<double> sums_of(const std::vector<update::Sequence>& sequences) {
  std::vector<double> sums;
  for (const auto& sequence : sequences)
    sums.push_back(std::accumulate(sequence.reference_log_probs.begin(), sequence.reference_log_probs.end(), 0.0));
  return sums;
}

References compute(const update::Learner& policy, const ReferenceRequest& request) {
  base::log_info(base::concat("computing the reference's log-probs of ", request.prompts.size(), " pairs"));
  update::Learner learner = policy;
  learner.reference = &request.reference();
  References references;
  for (size_t first = 0; first < request.prompts.size(); first += kPairsAtOnce) {
    const size_t last = std::min(first + kPairsAtOnce, request.prompts.size());
    auto sequences = sequences_of(request, first, last);
    update::set_reference_log_probs(learner, {.name = "start"}, sequences);
    const auto sums = sum_over_ranks(sums_of(sequences), learner.communicator);
    for (size_t i = first; i < last; ++i) {
      const ReferencePair pair{sums[2 * (i - first)], sums[2 * (i - first) + 1]};
      if (!std::isfinite(pair.chosen) || !std::isfinite(pair.rejected))
        throw base::Error(base::concat("the reference's log-probs of problem ", request.prompts[i].id, " (",
                                       request.prompts[i].place, ") are not finite"));
      references.push_back(pair);
    }
  }
  return references;
}

}  // namespace

References reference_log_probs(const update::Learner& learner, const ReferenceRequest& request) {
  dist::Communicator& communicator = learner.communicator;
  communicator.enter_phase("the reference's log-probs");
  const auto identity = identity_of(request);
  const fs::path cache = base::cache_folder();
  const fs::path file = cache.empty() ? cache : cache / "reference" / (io::hash_bytes(identity.dump()) + ".json");
  const bool first = communicator.rank() == 0;
  std::optional<References> known = first ? read(file, identity) : std::nullopt;
  if (communicator.size() > 1) {
    const auto shared = all_gather_json(known ? to_json(*known) : nlohmann::json(), communicator)[0];
    if (!shared.is_null()) known = from_json(shared);
  }
  if (known) {
    base::log_info("the reference's log-probs are those of " + file.string());
    return std::move(*known);
  }
  auto references = compute(learner, request);
  if (first) write(file, identity, references);
  return references;
}

}  // namespace grpo::trainer
