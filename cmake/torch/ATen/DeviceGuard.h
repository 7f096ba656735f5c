// Stands in the place of LibTorch's header of this name where our own sources are compiled (GrpoModule.cmake). Every
// header of an operator (ATen/ops/...) includes it, for functions that we do not call. For their sake LibTorch's one
// brings in the values of TorchScript (ivalue.h, jit_type.h), which every source would read and, what costs more,
// instantiate. A source that passes lists of tensors to an operator, as to at::cat, includes <ATen/core/IListRef.h>
// itself.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/ScalarType.h>
