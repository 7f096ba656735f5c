#include "report/arm_label.h"

#include <cctype>
#include <map>

namespace grpo::report {
namespace {

// A configuration from before a key existed has none of it; it trained as the key's default does.
std::string value_or(const RunSummary& run, const char* key, const char* fallback) {
  const std::string value = run.config_value(key);
  return value.empty() ? fallback : value;
}

std::string method_of(const RunSummary& run) { return value_or(run, "algorithm.method", "grpo"); }

bool samples(const RunSummary& run) { return method_of(run) != "sft" && method_of(run) != "dpo"; }

std::string method_part(const RunSummary& run) {
  static const std::map<std::string, std::string> kNames = {
      {"grpo", "GRPO"}, {"ppo", "PPO"}, {"dpo", "DPO"}, {"online_dpo", "online DPO"}, {"sft", "SFT"}};
  const auto found = kNames.find(method_of(run));
  return found == kNames.end() ? method_of(run) : found->second;
}

// The other methods are their own loss, but for PPO, whose tokens have one of these.
std::string loss_part(const RunSummary& run) {
  const std::string method = method_of(run);
  return method == "sft" || method == "dpo" || method == "online_dpo" ? "" : value_or(run, "algorithm.loss", "clip");
}

std::string weights_part(const RunSummary& run) {
  const std::string rank = value_or(run, "model.lora.rank", "0");
  return rank == "0" ? "full weights" : "LoRA rank " + rank;
}

std::string groups_part(const RunSummary& run) {
  const std::string size = run.config_value("rollout.group_size");
  if (size.empty() || !samples(run)) return "";
  const std::string mode = value_or(run, "rollout.adaptive.mode", "off");  // "off" stands in quotes in config.yaml
  if (mode.find("off") == std::string::npos) return "adaptive groups (" + mode + ")";
  const std::string refill = value_or(run, "rollout.resample.max_rollouts", "~");
  return "G=" + size + (std::isdigit(static_cast<unsigned char>(refill.front())) ? " with fresh prompts" : "");
}

}  // namespace

std::string label_of(const Arm& arm, const std::vector<Arm>& arms) {
  std::vector<const Arm*> others;
  for (const Arm& other : arms) {
    if (&other != &arm) others.push_back(&other);
  }
  std::string label;
  for (const auto& part : {method_part, loss_part, weights_part, groups_part}) {
    const std::string mine = part(*arm.runs.front());
    const auto told_apart = std::erase_if(others, [&](const Arm* other) { return part(*other->runs.front()) != mine; });
    if (told_apart > 0 && !mine.empty()) label += (label.empty() ? "" : " ") + mine;
  }
  return others.empty() && !label.empty() ? label : arm.name;
}

}  // namespace grpo::report
