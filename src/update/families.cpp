#include "update/families.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <iterator>

#include "update/micro_batch.h"

namespace grpo::update {
namespace {

// A prompt that is shared costs each layer an attention of its own and a merge, which fewer saved tokens do not earn
// back. Shorter prompts would, but the embedded model's have the bits of their runs to keep (docs/performance.md).
constexpr int64_t kShortestShared = 32;
constexpr int64_t kLeastSaved = 10;  // one token in so many

using Groups = std::vector<std::vector<size_t>>;

bool have_same_prompt(const Sequence& a, const Sequence& b) {
  const int64_t length = prompt_length(a);
  return length == prompt_length(b) && std::equal(a.ids.begin(), a.ids.begin() + length, b.ids.begin());
}

int64_t targets_of(const Sequence& sequence) {
  return std::count(sequence.targets.begin(), sequence.targets.end(), uint8_t{1});
}

// The sums over some sequences that decide about them as a family. `prompt` is 0 where they have not all the same.
struct Sums {
  int64_t prompt = 0, sequences = 0, tokens = 0, targets = 0;

  bool shares(SharePrompts share) const {
    if (share == SharePrompts::kFalse || prompt == 0 || sequences < 2) return false;
    return share == SharePrompts::kTrue || sharing_pays(prompt, sequences, tokens);
  }
  int64_t shared_tokens() const { return std::max(tokens - (sequences - 1) * prompt, targets); }
};

Sums operator+(const Sums& a, const Sums& b) {
  return {b.prompt, a.sequences + b.sequences, a.tokens + b.tokens, a.targets + b.targets};
}

Sums sums_of(const std::vector<Sequence>& sequences, const std::vector<size_t>& group) {
  const Sequence& first = sequences[group.front()];
  const bool same =
      std::all_of(group.begin(), group.end(), [&](size_t index) { return have_same_prompt(first, sequences[index]); });
  Sums sums{.prompt = same ? prompt_length(first) : 0};
  for (const size_t index : group)
    sums = sums + Sums{sums.prompt, 1, packed_length(sequences[index]), targets_of(sequences[index])};
  return sums;
}

// Appends what these groups, which have one prompt in common, are: one family, or each a family of its own.
template <typename Iterator>
void append(const std::vector<Sequence>& sequences, Iterator first, Iterator last, SharePrompts share,
            std::vector<Family>& families) {
  Sums all;
  for (auto group = first; group != last; ++group) all = all + sums_of(sequences, *group);
  if (all.shares(share)) {
    Family family{.sequences = {}, .shared = all.prompt, .tokens = all.shared_tokens()};
    for (auto group = first; group != last; ++group)
      family.sequences.insert(family.sequences.end(), group->begin(), group->end());
    families.push_back(std::move(family));
    return;
  }
  for (auto group = first; group != last; ++group) {
    const Sums own = sums_of(sequences, *group);
    const bool shares = own.shares(share);  // several groups may not pay where one of them does
    families.push_back(
        {.sequences = *group, .shared = shares ? own.prompt : 0, .tokens = shares ? own.shared_tokens() : own.tokens});
  }
}

// The end of the run of groups from `first` on that all have its prompt.
Groups::const_iterator end_of_run(const std::vector<Sequence>& sequences, Groups::const_iterator first,
                                  Groups::const_iterator end) {
  if (sums_of(sequences, *first).prompt == 0) return std::next(first);
  return std::find_if(std::next(first), end, [&](const auto& group) {
    return sums_of(sequences, group).prompt == 0 ||
           !have_same_prompt(sequences[first->front()], sequences[group.front()]);
  });
}

// Divides a family into parts that hold as many groups as max_tokens allows.
void append_within(const std::vector<Sequence>& sequences, const Family& family, SharePrompts share, int64_t max_tokens,
                   std::vector<Family>& families) {
  const Groups groups = groups_of(sequences, family.sequences);
  for (auto first = groups.begin(); first != groups.end();) {
    auto last = std::next(first);
    for (Sums sums = sums_of(sequences, *first); last != groups.end(); ++last) {
      sums = sums + sums_of(sequences, *last);
      if ((sums.shares(share) ? sums.shared_tokens() : sums.tokens) > max_tokens) break;
    }
    append(sequences, first, last, share, families);
    first = last;
  }
}

}  // namespace

int64_t prompt_length(const Sequence& sequence) {
  return std::find(sequence.targets.begin(), sequence.targets.end(), uint8_t{1}) - sequence.targets.begin();
}

bool sharing_pays(int64_t prompt, int64_t sequences, int64_t tokens) {
  return prompt >= kShortestShared && (sequences - 1) * prompt * kLeastSaved >= tokens;
}

SharePrompts sharing_of(const Learner& learner) {
  if (learner.model.has_dropout()) return SharePrompts::kFalse;
  const bool holds_scores =
      !learner.model.device().is_cpu() && learner.model.training_options().attention == nn::AttentionKernel::kPadded;
  return learner.share_prompts == SharePrompts::kAuto && holds_scores ? SharePrompts::kFalse : learner.share_prompts;
}

std::vector<Family> families_of(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
                                SharePrompts share) {
  const Groups groups = groups_of(sequences, indices);
  std::vector<Family> families;
  for (auto first = groups.begin(); first != groups.end();) {
    const auto last = share == SharePrompts::kFalse ? std::next(first) : end_of_run(sequences, first, groups.end());
    append(sequences, first, last, share, families);
    first = last;
  }
  return families;
}

std::vector<Family> divide(const std::vector<Sequence>& sequences, const Family& family, size_t parts,
                           SharePrompts share) {
  const Groups groups = groups_of(sequences, family.sequences);
  std::vector<Family> families;
  for (size_t part = 0; part < parts; ++part) {
    const auto place = [&](size_t number) {
      return groups.begin() + static_cast<std::ptrdiff_t>(groups.size() * number / parts);
    };
    if (place(part) != place(part + 1)) append(sequences, place(part), place(part + 1), share, families);
  }
  return families;
}

std::vector<Family> families_within(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
                                    SharePrompts share, int64_t max_tokens) {
  std::vector<Family> families;
  for (Family& family : families_of(sequences, indices, share)) {
    if (family.tokens <= max_tokens)
      families.push_back(std::move(family));
    else
      append_within(sequences, family, share, max_tokens, families);
  }
  return families;
}

int64_t tokens_of(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices, SharePrompts share) {
  int64_t tokens = 0;
  for (const Family& family : families_of(sequences, indices, share)) tokens += family.tokens;
  return tokens;
}

double work_of(int64_t tokens, const models::ModelConfig& model) {
  const auto n = static_cast<double>(tokens);
  const auto attention = static_cast<double>(model.num_layers * model.num_heads * model.head_dim);
  return n * (static_cast<double>(model.num_parameters()) + attention * n);
}

double work_of(const std::vector<Sequence>& sequences, const Family& family, const models::ModelConfig& model) {
  double work = 0.0;
  for (const size_t index : family.sequences) work += work_of(packed_length(sequences[index]), model);
  return work - static_cast<double>(family.sequences.size() - 1) * work_of(family.shared, model);
}

}  // namespace grpo::update
