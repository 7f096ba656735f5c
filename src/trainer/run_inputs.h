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

/// A hash of problems and their answers in order, wherever they were read from.
std::string print_of(const std::vector<data::Problem>& problems);

/// What a run reads besides its configuration, as fingerprints of content: they go into every checkpoint and are
/// compared when a run continues. The same content under another path is the same.
///   problems, num_problems      the training problems
///   mixture                     problems and weight of each set; null where all weights are 1
///   template                    how conversations are rendered
///   prompts                     the prompts as token ids, with the answers: also the tokenizer and what is left out
///   stop_ids
///   shape                       config.json's sizes, rotary parameters and the like
///   reference                   the weights that the KL term compares with; null without one, and with adapters
///   base                        the weights that adapters belong to; null without adapters
///   eval                        problems of each evaluation set, by name
nlohmann::json inputs_of(const TrainConfig& config, const Policy& policy, const std::vector<data::Problem>& problems,
                         const std::vector<Prompt>& prompts, const std::vector<EvalSet>& eval_sets);

/// What has changed since `saved`; causes stand before their consequences. Nothing when a checkpoint is too old to hold
/// the prints.
std::vector<Change> changed_inputs(const nlohmann::json& saved, const nlohmann::json& now);

/// The evaluation sets whose content has changed: their figures before and after do not make one curve.
std::vector<std::string> changed_eval_sets(const nlohmann::json& saved, const nlohmann::json& now);

}  // namespace grpo::trainer
