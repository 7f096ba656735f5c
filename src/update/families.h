#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "grpo/models/model_config.h"
#include "grpo/update/learner.h"
#include "grpo/update/sequence.h"

namespace grpo::update {

/// Sequences that stay together: those of a group, or of several groups whose prompt is computed once.
struct Family {
  std::vector<size_t> sequences;  // indices of neighbours
  int64_t shared = 0;             // the tokens of the prompt that is computed once; 0: every sequence has its own
  /// The tokens of a pass: those that are packed, or the targets where they are more, because a shared prompt's last
  /// token predicts the first target of every sequence.
  int64_t tokens = 0;
};

/// The number of ids before the first target.
int64_t prompt_length(const Sequence& sequence);

/// How this learner's passes share prompts: Learner::share_prompts, but not where the model has dropout, whose choices
/// at a token depend on the whole sequence, and with kAuto not on a device whose attention would have to hold all
/// scores for it.
SharePrompts sharing_of(const Learner& learner);

/// Divides the sequences with these indices into families, in their order. Neighbouring groups whose sequences all have
/// the same prompt are a family if they share it; every other group is one of its own.
std::vector<Family> families_of(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
                                SharePrompts share);

/// Divides a family into at most `parts` of about as many groups each. Each part is what families_of() makes of its
/// sequences.
std::vector<Family> divide(const std::vector<Sequence>& sequences, const Family& family, size_t parts,
                           SharePrompts share);

/// Families as above, of which those with more than max_tokens tokens are divided into parts that hold as many groups
/// as they can. A group is never divided.
std::vector<Family> families_within(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices,
                                    SharePrompts share, int64_t max_tokens);

/// The tokens of a pass over the sequences with these indices (Family::tokens).
int64_t tokens_of(const std::vector<Sequence>& sequences, const std::vector<size_t>& indices, SharePrompts share);

/// The multiply-adds of a sequence's forward pass, if it has n packed tokens: each token meets every weight once, and
/// attends to all tokens before it.
double work_of(int64_t tokens, const models::ModelConfig& model);
/// That of a family, whose shared prompt is worked on once.
double work_of(const std::vector<Sequence>& sequences, const Family& family, const models::ModelConfig& model);

}  // namespace grpo::update
