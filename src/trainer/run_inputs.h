#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/data/dataset.h"
#include "grpo/trainer/evaluate.h"
#include "grpo/trainer/policy.h"
#include "trainer/resume_rules.h"

namespace grpo::trainer {

/// A hash of problems and their answers in their order. It does not depend on the files that they were read from.
std::string print_of(const std::vector<data::Problem>& problems);

/// Fingerprints of the content of all that a run reads besides its configuration. They go into every checkpoint and are
/// compared when a run continues. They do not depend on paths:
///   problems, num_problems      the training problems
///   mixture                     number of prompts and weight of each set; null where all weights are 1
///   template                    how conversations are rendered
///   prompts                     ids and answers of the prompts: they show a changed tokenizer and what is left out
///   stop_ids
///   shape                       config.json's sizes, rotary parameters and the like
///   reference                   the start weights where a KL term or a method compares with them, else null (a KL
///                               term beside adapters compares with `base`)
///   base                        the weights that adapters belong to; null without adapters
///   eval                        problems of each evaluation set, by name
nlohmann::json inputs_of(const TrainConfig& config, const Policy& policy, const std::vector<data::Problem>& problems,
                         const std::vector<Prompt>& prompts, const std::vector<EvalSet>& eval_sets);

/// What has changed since `saved`. Causes come before their consequences, and changed prompts are not listed beside a
/// change that explains them. A checkpoint that is too old to hold fingerprints counts as unchanged.
std::vector<Change> changed_inputs(const nlohmann::json& saved, const nlohmann::json& now);

/// The names of the evaluation sets whose content has changed, so that figures before and after cannot be compared.
std::vector<std::string> changed_eval_sets(const nlohmann::json& saved, const nlohmann::json& now);

}  // namespace grpo::trainer
