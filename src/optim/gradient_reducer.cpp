#include "optim/gradient_reducer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

#include "grpo/base/error.h"

namespace grpo::optim {
namespace {

// How many reductions run at once. Two keep the network busy, and each holds a copy of a layer's gradients.
constexpr size_t kUnderWay = 2;

}  // namespace

GradientReducer::GradientReducer(const std::vector<Bucket>& buckets, std::vector<at::Tensor> parameters,
                                 const Options& options)
    : buckets_(buckets),
      parameters_(std::move(parameters)),
      options_(options),
      sums_(buckets.size()),
      results_(buckets.size()),
      started_(buckets.size()) {}

void GradientReducer::accumulate() {
  for (size_t b = 0; b < buckets_.size(); ++b) fold(b);
}

void GradientReducer::fold(size_t b) {
  for (const Piece& piece : buckets_[b].pieces) {
    at::Tensor& gradient = parameters_[piece.parameter].mutable_grad();
    if (!gradient.defined() || gradient.scalar_type() == at::kFloat) continue;
    GRPO_CHECK(!started_[b], "a gradient came after its reduction had started");
    if (!sums_[b].defined())
      sums_[b] = at::zeros({buckets_[b].shard * options_.communicator->size()}, gradient.options().dtype(at::kFloat));
    sums_[b].narrow(0, piece.offset, piece.size).add_(gradient.reshape({-1}));
    gradient.reset();
  }
}

// This rank's gradients of a bucket, in the dtype and layout in which they are sent.
at::Tensor GradientReducer::take(size_t b) {
  const Bucket& bucket = buckets_[b];
  if (sums_[b].defined()) return std::exchange(sums_[b], {}).to(options_.dtype);
  const auto options = parameters_[bucket.pieces[0].parameter].options().requires_grad(false).dtype(options_.dtype);
  auto all = at::zeros({bucket.shard * options_.communicator->size()}, options);
  for (const Piece& piece : bucket.pieces) {
    at::Tensor& gradient = parameters_[piece.parameter].mutable_grad();
    if (gradient.defined()) all.narrow(0, piece.offset, piece.size).copy_(gradient.reshape({-1}));
    gradient.reset();
  }
  return all;
}

void GradientReducer::start(size_t bucket) {
  GRPO_CHECK(!started_[bucket], "bucket ", bucket, " is reduced already");
  if (!options_.every_pass) fold(bucket);
  started_[bucket] = true;
  wait_until_at_most(kUnderWay - 1);
  Underway next{.bucket = bucket, .sent = take(bucket), .own = {}, .pending = nullptr};
  if (in_place()) {
    next.pending = options_.communicator->start_all_reduce_sum(next.sent);
  } else {
    next.own = at::empty({buckets_[bucket].shard}, next.sent.options().dtype(at::kFloat));
    next.pending = options_.communicator->start_reduce_scatter_sum(next.own, next.sent);
  }
  under_way_.push_back(std::move(next));
}

void GradientReducer::start_rest() {
  for (size_t b = 0; b < buckets_.size(); ++b) {
    if (!started_[b]) start(b);
  }
}

bool GradientReducer::has_started() const {
  return std::find(started_.begin(), started_.end(), true) != started_.end();
}

void GradientReducer::end_pass() {
  wait_until_at_most(0);
  started_.assign(buckets_.size(), false);
}

void GradientReducer::wait_until_at_most(size_t under_way) {
  while (under_way_.size() > under_way) {
    Underway first = std::move(under_way_.front());
    under_way_.pop_front();
    first.pending->wait();
    at::Tensor& result = results_[first.bucket];
    const at::Tensor& reduced = in_place() ? first.sent : first.own;
    if (result.defined())
      result.add_(reduced);
    else
      result = reduced;
  }
}

const std::vector<at::Tensor>& GradientReducer::finish() {
  if (options_.every_pass) {
    for (size_t b = 0; b < buckets_.size(); ++b) {
      const auto options =
          parameters_[buckets_[b].pieces[0].parameter].options().requires_grad(false).dtype(at::kFloat);
      if (!results_[b].defined()) results_[b] = at::zeros({buckets_[b].shard}, options);  // no pass left a gradient
    }
    return results_;
  }
  start_rest();
  wait_until_at_most(0);
  if (options_.result == Result::kWhole && !in_place()) gather_narrow_sums();
  return results_;
}

// Each rank has added up its shard in fp32. It is rounded once here, since it goes to the
// other ranks in the narrow dtype.
void GradientReducer::gather_narrow_sums() {
  std::vector<at::Tensor> narrow, whole;
  std::vector<std::unique_ptr<dist::Pending>> pending;
  for (const at::Tensor& own : results_) {
    narrow.push_back(own.to(options_.dtype));
    whole.push_back(at::empty({own.numel() * options_.communicator->size()}, narrow.back().options()));
    pending.push_back(options_.communicator->start_all_gather_into(whole.back(), narrow.back()));
  }
  for (size_t b = 0; b < results_.size(); ++b) {
    pending[b]->wait();
    results_[b] = whole[b].to(at::kFloat);
    whole[b].reset();
  }
}

void GradientReducer::clear() {
  GRPO_CHECK(under_way_.empty(), "gradients are dropped while they are reduced");
  for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  sums_.assign(buckets_.size(), {});
  results_.assign(buckets_.size(), {});
  started_.assign(buckets_.size(), false);
}

}  // namespace grpo::optim
