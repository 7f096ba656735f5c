#pragma once

namespace CLI {
class App;
}

namespace grpo::app {

// The subcommands of `grpo theory` that need a policy or runs.
void add_theory_variance(CLI::App& theory);
void add_theory_rounds(CLI::App& theory);

}  // namespace grpo::app
