#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/data/inspect.h"
#include "grpo/trainer/policy.h"

namespace grpo::app {

/// What `grpo data` says about a file, as JSON: rows, fields, keys, bad rows, lengths, golds and
/// duplicates (docs/data.md lists the keys). `policy` is the tokenizer and template that lengths are
/// counted with; nullptr: count characters.
nlohmann::ordered_json facts_of(const data::SeenFile& seen, const trainer::Policy* policy);

/// What the problems of an evaluation set share with those of a training set.
nlohmann::ordered_json overlap_of(const data::SeenFile& trained, const data::SeenFile& evaluated);

/// These facts as text.
std::string text_of_facts(const nlohmann::ordered_json& facts);
std::string text_of_overlap(const nlohmann::ordered_json& overlap);

}  // namespace grpo::app
