#pragma once

namespace CLI {
class App;
}

namespace grpo::app {

// Each function adds a subcommand with its options and a callback that does the work. Errors are exceptions,
// which main turns into exit codes.
void add_train(CLI::App& app);
void add_generate(CLI::App& app);
void add_score(CLI::App& app);
void add_verify(CLI::App& app);
void add_tokenize(CLI::App& app);
void add_compare(CLI::App& app);
void add_eval(CLI::App& app);
void add_doctor(CLI::App& app);
void add_checkpoint(CLI::App& app);
void add_data(CLI::App& app);
void add_theory(CLI::App& app);
void add_replay(CLI::App& app);

}  // namespace grpo::app
