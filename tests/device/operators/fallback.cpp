#include "device/operators/fallback.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Generator.h>
#include <ATen/ops/empty_strided.h>
#include <c10/cuda/CUDAStream.h>

#include <atomic>
#include <set>

#include "device/operators/aliases.h"
#include "device/operators/shapes.h"

namespace grpo::host_device {
namespace {

using c10::OperatorHandle;
using torch::jit::Stack;

// Sizes of the results depend on values: the host waits for them, here as on a real device.
bool needs_values(const OperatorHandle& op, const Stack& arguments) {
  static const std::set<std::string> names = {"aten::nonzero",
                                              "aten::masked_select",
                                              "aten::_unique2",
                                              "aten::unique_dim",
                                              "aten::unique_consecutive",
                                              "aten::bincount",
                                              "aten::equal",
                                              "aten::is_nonzero",
                                              "aten::argwhere",
                                              "aten::unique_dim_consecutive",
                                              "aten::repeat_interleave"};
  if (names.count(op.schema().name()) != 0) return op.schema().overload_name() != "self_int";
  if (op.schema().name() != "aten::index") return false;
  for (const auto& argument : arguments) {
    if (!argument.isOptionalTensorList()) continue;  // a mask says how many
    for (const std::optional<at::Tensor>& index : argument.toOptionalTensorVector()) {
      if (index && (index->scalar_type() == at::kBool || index->scalar_type() == at::kByte)) return true;
    }
  }
  return false;
}

std::vector<at::Tensor> tensors_in(const Stack& values) {
  std::vector<at::Tensor> tensors;
  for (const auto& value : values) {
    with_tensors(value, [&](const at::Tensor& tensor) {
      if (tensor.defined()) tensors.push_back(tensor);
      return tensor;
    });
  }
  return tensors;
}

// Draws of a kernel depend on its launch alone, not on when it runs.
at::Generator next_generator() {
  static std::atomic<uint64_t> launches = 0;
  return at::detail::createCPUGenerator(0x9e3779b97f4a7c15ull * ++launches);
}

// The arguments for the CPU (or `meta`): `replace` gives the tensors.
template <typename Replace>
Stack arguments_on(at::Device device, const OperatorHandle& op, const Stack& arguments, const Replace& replace) {
  Stack moved;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto& value = arguments[i];
    const auto& type = op.schema().arguments()[i].type();
    const bool generator =
        type->kind() == c10::TypeKind::GeneratorType ||
        (type->kind() == c10::TypeKind::OptionalType && type->containedType(0)->kind() == c10::TypeKind::GeneratorType);
    if (generator) {
      moved.push_back(next_generator());
    } else {
      moved.push_back(value.isDevice() ? c10::IValue(device) : with_tensors(value, replace));
    }
  }
  return moved;
}

Stack without_values(const OperatorHandle& op, const Stack& arguments) {
  const auto shape_of = [](const at::Tensor& x) {
    return on_device(x) ? at::empty_strided(x.sizes(), x.strides(), x.options().device(at::kMeta)) : x;
  };
  Stack stack = arguments_on(at::kMeta, op, arguments, shape_of);
  op.callBoxed(&stack);
  return stack;
}

// For operators that have no version for shapes alone: zeros are good arguments, as indices too.
Stack with_zeros(const OperatorHandle& op, const Stack& arguments) {
  const auto zeros_like = [](const at::Tensor& x) {
    return on_device(x) ? at::empty_strided(x.sizes(), x.strides(), x.options().device(at::kCPU)).zero_() : x;
  };
  Stack stack = arguments_on(at::kCPU, op, arguments, zeros_like);
  op.callBoxed(&stack);
  return stack;
}

// What the operator would return, without the values.
Stack results_of(const OperatorHandle& op, const Stack& arguments) {
  if (auto known = known_shapes(op, arguments)) return *std::move(known);
  if (op.hasKernelForDispatchKey(c10::DispatchKey::Meta)) {
    try {
      return without_values(op, arguments);
    } catch (const c10::NotImplementedError&) {
    }
  }
  return with_zeros(op, arguments);
}

// Which argument a result is: in-place operators and those with `out`. -1: a new tensor.
int64_t argument_of_result(const OperatorHandle& op, size_t result) {
  const auto* alias = op.schema().returns()[result].alias_info();
  if (alias == nullptr || !alias->isWrite()) return -1;
  const auto& arguments = op.schema().arguments();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto* other = arguments[i].alias_info();
    if (other != nullptr && other->isWrite() && other->beforeSets() == alias->beforeSets())
      return static_cast<int64_t>(i);
  }
  return -1;
}

bool all_given(const OperatorHandle& op) {
  for (size_t i = 0; i < op.schema().returns().size(); ++i) {
    if (argument_of_result(op, i) < 0) return false;
  }
  return true;
}

bool writes_to_out(const OperatorHandle& op) {
  for (const auto& argument : op.schema().arguments()) {
    if (argument.is_out()) return true;
  }
  return false;
}

at::Tensor like(const at::Tensor& shape) {
  return shape.defined() ? at::empty_strided(shape.sizes(), shape.strides(), shape.options().device(at::kCUDA)) : shape;
}

// `out` grows or shrinks to what is written to it.
void resize_outs(const OperatorHandle& op, const Stack& arguments, const Stack& results) {
  for (size_t i = 0; i < results.size(); ++i) {
    const auto at = argument_of_result(op, i);
    if (at < 0 || !results[i].isTensor()) continue;
    const at::Tensor out = arguments[static_cast<size_t>(at)].toTensor();
    if (on_device(out) && out.sizes() != results[i].toTensor().sizes()) out.resize_(results[i].toTensor().sizes());
  }
}

// Results as the caller gets them: given arguments, or fresh memory.
Stack allocate_results(const OperatorHandle& op, const Stack& arguments) {
  Stack results;
  if (!all_given(op) || writes_to_out(op)) {
    results = results_of(op, arguments);
    resize_outs(op, arguments, results);
  } else {
    results.resize(op.schema().returns().size());
  }
  for (size_t i = 0; i < results.size(); ++i) {
    const auto at = argument_of_result(op, i);
    results[i] = at >= 0 ? arguments[static_cast<size_t>(at)] : with_tensors(results[i], like);
  }
  return results;
}

// What was allocated gets the values that the CPU's version returned.
void keep(const c10::IValue& result, const c10::IValue& value) {
  if (result.isTensor() && result.toTensor().defined()) result.toTensor().copy_(value.toTensor());
  if (!result.isTensorList()) return;
  const auto to = result.toTensorVector(), from = value.toTensorVector();
  for (size_t i = 0; i < to.size(); ++i) to[i].copy_(from[i]);
}

// A value that outlives the call and holds no share in device memory.
using Later = std::function<c10::IValue()>;

Later remember(const c10::IValue& value) {
  if (value.isTensor()) {
    const at::Tensor tensor = value.toTensor();
    if (!on_device(tensor))
      return [copy = tensor.defined() && !tensor.unsafeGetTensorImpl()->is_wrapped_number() ? tensor.clone() : tensor] {
        return copy;
      };
    return [known = DeviceTensor(tensor)] { return c10::IValue(known.alias()); };
  }
  if (!value.isTensorList() && !value.isOptionalTensorList()) return [value] { return value; };
  std::vector<std::optional<Later>> parts;
  const bool optional = value.isOptionalTensorList();
  if (optional) {
    for (const std::optional<at::Tensor>& part : value.toOptionalTensorVector())
      parts.push_back(part ? std::optional(remember(*part)) : std::nullopt);
  } else {
    for (const at::Tensor& part : value.toTensorVector()) parts.push_back(remember(part));
  }
  return [parts, optional]() -> c10::IValue {
    c10::List<std::optional<at::Tensor>> all;
    c10::List<at::Tensor> plain;
    for (const auto& part : parts) {
      all.push_back(part ? std::optional((*part)().toTensor()) : std::nullopt);
      if (!optional) plain.push_back((*part)().toTensor());
    }
    return optional ? c10::IValue(all) : c10::IValue(plain);
  };
}

std::vector<Later> remember_all(const Stack& values) {
  std::vector<Later> remembered;
  for (const auto& value : values) remembered.push_back(remember(value));
  return remembered;
}

Stack recall(const std::vector<Later>& remembered) {
  Stack values;
  for (const Later& value : remembered) values.push_back(value());
  return values;
}

void launch_operator(const OperatorHandle& op, const Stack& arguments, const Stack& results) {
  auto tensors = tensors_in(arguments);
  const auto more = tensors_in(results);
  tensors.insert(tensors.end(), more.begin(), more.end());
  const auto host = arguments_on(at::kCPU, op, arguments, [](const at::Tensor& x) { return x; });
  std::vector<bool> fresh;
  for (size_t i = 0; i < results.size(); ++i) fresh.push_back(argument_of_result(op, i) < 0);
  launch_kernel(op.schema().name(), tensors, [op, fresh, inputs = remember_all(host), outputs = remember_all(results)] {
    Stack stack = recall(inputs);
    op.callBoxed(&stack);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (fresh[i]) keep(outputs[i](), stack[i]);
    }
  });
}

// The host waits, computes, and takes the results to the device.
void run_with_values(const OperatorHandle& op, Stack& arguments, Stack* stack) {
  const auto stream = c10::cuda::getCurrentCUDAStream().stream();
  TORCH_CHECK(wait_for(stream, op.schema().name().c_str()) == cudaSuccess, op.schema().name(), ": ",
              cudaGetErrorString(cudaGetLastError()));
  TORCH_CHECK(computes(), op.schema().name(), " needs values, and the device computes none");
  const auto alias = [](const at::Tensor& x) { return on_device(x) ? DeviceTensor(x).alias() : x; };
  Stack results = arguments_on(at::kCPU, op, arguments, alias);
  op.callBoxed(&results);
  for (auto& result : results) {
    stack->push_back(with_tensors(result, [](const at::Tensor& x) {
      auto moved = like(x);
      if (x.numel() > 0) DeviceTensor(moved).alias().copy_(x);
      return moved;
    }));
  }
}

}  // namespace

void run_on_host(const OperatorHandle& op, Stack* stack) {
  const at::AutoDispatchBelowADInplaceOrView guard;
  const auto count = static_cast<int64_t>(op.schema().arguments().size());
  Stack arguments(stack->end() - count, stack->end());
  torch::jit::drop(*stack, static_cast<size_t>(count));
  TORCH_CHECK(op.hasKernelForDispatchKey(c10::DispatchKey::CPU) ||
                  op.hasKernelForDispatchKey(c10::DispatchKey::CompositeExplicitAutograd) ||
                  op.hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd),
              op.schema().name(),
              " exists on CUDA only, and the host device has no version of it (tests/device/operators)");
  if (needs_values(op, arguments)) return run_with_values(op, arguments, stack);
  const Stack results = allocate_results(op, arguments);
  launch_operator(op, arguments, results);
  stack->insert(stack->end(), results.begin(), results.end());
}

}  // namespace grpo::host_device
