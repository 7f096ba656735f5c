#pragma once

#include <memory>
#include <mutex>

namespace grpo::kernels::cuda {

/// One object for all who use it at a time. The first one who asks after nobody has used it for a while gets a new one.
template <typename T>
class WhileUsed {
 public:
  std::shared_ptr<T> get() {
    const std::lock_guard lock(mutex_);
    auto object = object_.lock();
    if (!object) object_ = object = std::make_shared<T>();
    return object;
  }

 private:
  std::mutex mutex_;
  std::weak_ptr<T> object_;
};

}  // namespace grpo::kernels::cuda
