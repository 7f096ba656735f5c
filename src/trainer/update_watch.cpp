#include "trainer/update_watch.h"

#include "grpo/base/error.h"

namespace grpo::trainer {

update::Watch update_watch(int64_t step, const std::function<bool()>& should_stop,
                           const std::function<void(const StepProgress&)>& on_progress) {
  update::Watch watch{.name = base::concat("step ", step), .should_stop = should_stop};
  if (!on_progress) return watch;
  watch.on_progress = [on_progress](const update::Progress& progress) {
    on_progress({.phase = StepProgress::Phase::kUpdate,
                 .done = progress.done,
                 .total = progress.total,
                 .tokens = progress.tokens});
  };
  return watch;
}

}  // namespace grpo::trainer
