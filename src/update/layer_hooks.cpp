#include "grpo/update/layer_hooks.h"

namespace grpo::update {

models::LayerHooks layer_hooks(optim::Optimizer& optimizer) {
  return {.before_forward = [&optimizer](int64_t layer, const at::Tensor&) { optimizer.before_layer_forward(layer); },
          .after_forward = [&optimizer](int64_t layer) { optimizer.after_layer_forward(layer); },
          .before_backward = [&optimizer](int64_t layer) { optimizer.before_layer_backward(layer); },
          .after_backward = [&optimizer](int64_t layer) { optimizer.after_layer_backward(layer); }};
}

}  // namespace grpo::update
