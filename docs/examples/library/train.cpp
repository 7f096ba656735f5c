// Two steps of 2-GRPO as a library call: train MODEL_FOLDER PROBLEMS.jsonl RUNS_FOLDER
#include "grpo/trainer/train.h"

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: train MODEL_FOLDER PROBLEMS.jsonl RUNS_FOLDER\n"), 2;
  grpo::trainer::TrainConfig config;
  config.model.path = argv[1];
  config.model.chat_template.text = "none";
  config.data.train = {argv[2]};
  config.data.max_prompt_tokens = 32;
  config.run = {.name = "example", .seed = 1, .output = argv[3]};
  config.rollout.prompts_per_step = 8;
  config.rollout.max_new_tokens = 20;
  config.reward.terms = {{}};  // the math verifier
  config.trainer.steps = 2;
  try {
    validate(config);
    std::fputs(grpo::trainer::describe_plan(config, {}).c_str(), stdout);
    return grpo::trainer::train(config, {.resume = "never"}) == grpo::trainer::Outcome::kFinished ? 0 : 3;
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "error: %s\n", error.what()), 1;
  }
}
