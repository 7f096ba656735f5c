#include "config/foreign_names.h"

#include <array>
#include <string_view>

namespace grpo::config {
namespace {

struct Name {
  std::string_view theirs;
  const char* ours;
};

constexpr std::array<Name, 51> kNames = {{
    {"learning_rate", "optimizer.lr"},
    {"num_generations", "rollout.group_size"},
    {"n", "rollout.group_size"},
    {"n_samples_per_prompt", "rollout.group_size"},
    {"num_generations_per_prompt", "rollout.group_size"},
    {"train_batch_size", "rollout.prompts_per_step"},
    {"rollout_batch_size", "rollout.prompts_per_step"},
    {"num_prompts_per_step", "rollout.prompts_per_step"},
    {"ppo_mini_batch_size", "trainer.updates_per_step (prompts_per_step divided by it)"},
    {"ppo_epochs", "trainer.epochs_per_step"},
    {"num_iterations", "trainer.epochs_per_step"},
    {"ppo_micro_batch_size_per_gpu", "trainer.micro_batch_tokens"},
    {"ppo_max_token_len_per_gpu", "trainer.micro_batch_tokens"},
    {"per_device_train_batch_size", "rollout.prompts_per_step and trainer.micro_batch_tokens"},
    {"gradient_accumulation_steps", "trainer.micro_batch_tokens (accumulation follows from it)"},
    {"max_completion_length", "rollout.max_new_tokens"},
    {"max_response_length", "rollout.max_new_tokens"},
    {"generate_max_len", "rollout.max_new_tokens"},
    {"rollout_max_response_len", "rollout.max_new_tokens"},
    {"max_tokens", "rollout.max_new_tokens"},
    {"max_prompt_length", "data.max_prompt_tokens"},
    {"prompt_max_len", "data.max_prompt_tokens"},
    {"num_train_epochs", "data.epochs"},
    {"total_epochs", "data.epochs"},
    {"num_epochs", "data.epochs"},
    {"max_steps", "trainer.steps"},
    {"lora_rank", "model.lora.rank"},
    {"lora_r", "model.lora.rank"},
    {"lora_alpha", "model.lora.alpha"},
    {"lora_dropout", "model.lora.dropout"},
    {"lora_target_modules", "model.lora.targets"},
    {"target_modules", "model.lora.targets"},
    {"total_training_steps", "trainer.steps"},
    {"max_num_steps", "trainer.steps"},
    {"beta", "algorithm.kl.coef"},
    {"kl_coef", "algorithm.kl.coef"},
    {"kl_loss_coef", "algorithm.kl.coef"},
    {"init_kl_coef", "algorithm.kl.coef"},
    {"epsilon", "algorithm.clip_low"},
    {"clip_ratio", "algorithm.clip_low and algorithm.clip_high"},
    {"epsilon_high", "algorithm.clip_high"},
    {"clip_ratio_high", "algorithm.clip_high"},
    {"entropy_coeff", "algorithm.entropy_coef"},
    {"adv_estimator", "algorithm.advantage"},
    {"loss_agg_mode", "algorithm.aggregation"},
    {"model_name_or_path", "model.path"},
    {"pretrain", "model.path"},
    {"train_files", "data.train"},
    {"prompt_data", "data.train"},
    {"val_files", "eval.data"},
    {"test_freq", "eval.every_steps"},
}};

}  // namespace

std::string own_name_of(const std::string& key) {
  const std::string_view last = std::string_view(key).substr(key.rfind('.') + 1);  // without a dot npos + 1 is 0
  for (const Name& name : kNames) {
    if (last == name.theirs) return name.ours;
  }
  return "";
}

}  // namespace grpo::config
