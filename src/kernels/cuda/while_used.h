#pragma once

#include <memory>
#include <mutex>

namespace grpo::kernels::cuda {

/// Shares one object among all who use it at the same time. Once the last of them has let it go, get() makes a new one.
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
