#include "grpo/kernels/upload.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "grpo/kernels/cuda.h"
#include "grpo/kernels/download.h"

namespace grpo::kernels {
namespace {

// Of odd sizes, so that each leaves a gap before the next.
std::vector<at::Tensor> some(int64_t start) {
  return {at::arange(start, start + 3, at::kLong), at::arange(start, start + 7, at::kInt),
          at::rand({3, 5}, at::kDouble), at::ones({1}, at::kInt) * start};
}

void send(Upload& upload, const std::vector<at::Tensor>& tensors) {
  for (const auto& tensor : tensors) upload.add(tensor);
  upload.send();
}

TEST(Upload, InPlaceHoldsEachPassInTheMemoryOfTheFirst) {
  Upload upload(at::kCPU, /*in_place=*/true);
  std::vector<const void*> places;
  for (int64_t pass = 0; pass < 3; ++pass) {
    const auto tensors = some(10 * pass);
    send(upload, tensors);
    for (size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_TRUE(at::equal(upload[i], tensors[i])) << i;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(upload[i].const_data_ptr()) % 16, 0u) << i;
      if (pass == 0) places.push_back(upload[i].const_data_ptr());
      EXPECT_EQ(upload[i].const_data_ptr(), places[i]);
    }
  }
}

TEST(Upload, InPlaceCopiesOnlyWhatTheLastTensorHolds) {
  Upload upload(at::kCPU, /*in_place=*/true);
  upload.add(at::tensor({1, 2, 3, 4}, at::kInt), 5);
  upload.send();
  upload.add(at::tensor({8, 9}, at::kInt), 5);
  upload.send();
  EXPECT_TRUE(at::equal(upload[0].narrow(0, 0, 4), at::tensor({8, 9, 3, 4}, at::kInt)));
  EXPECT_EQ(upload[0].numel(), 5);
}

TEST(Upload, InPlaceRefusesAnotherPass) {
  Upload upload(at::kCPU, /*in_place=*/true);
  send(upload, {at::zeros({3}, at::kInt)});
  EXPECT_THROW(send(upload, {at::zeros({4}, at::kInt)}), std::logic_error);
  Upload typed(at::kCPU, true);
  send(typed, {at::zeros({3}, at::kInt)});
  EXPECT_THROW(send(typed, {at::zeros({3}, at::kFloat)}), std::logic_error);
  EXPECT_THROW(typed.add(at::zeros({3}, at::kInt), 2), std::logic_error);
  EXPECT_THROW(typed.add(at::zeros({3, 2}, at::kInt).t()), std::logic_error);
}

TEST(Upload, OnTheCpuLeavesTensorsWhereTheyAre) {
  Upload upload(at::kCPU, /*in_place=*/false);
  const auto tensors = some(1);
  send(upload, tensors);
  for (size_t i = 0; i < tensors.size(); ++i) EXPECT_TRUE(upload[i].is_same(tensors[i]));
}

TEST(GpuUpload, BringsTensorsThereAndTogetherBack) {
  if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
  ASSERT_EQ(load_cuda(), "");
  for (const bool in_place : {false, true}) {
    Upload upload(at::kCUDA, in_place);
    for (int64_t pass = 0; pass < 2; ++pass) {
      const auto tensors = some(pass);
      send(upload, tensors);
      Download together({upload[1], upload[3], upload[0]});
      together.wait();
      EXPECT_TRUE(at::equal(together[0], tensors[1]));
      EXPECT_TRUE(at::equal(together[1], tensors[3]));
      EXPECT_TRUE(at::equal(together[2], tensors[0]));
      EXPECT_TRUE(at::equal(upload[2].cpu(), tensors[2]));
    }
  }
}

}  // namespace
}  // namespace grpo::kernels
