#include "rollout/model_runner.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace grpo::rollout {
namespace {

kernels::SampleRows params_of(const std::vector<Row>& rows) {
  std::vector<kernels::SampleParams> params;
  for (const Row& row : rows) params.push_back(row.params);
  return kernels::sample_rows(params);
}

at::Tensor slots_of(const std::vector<Row>& rows) {
  std::vector<int64_t> slots;
  for (const Row& row : rows) slots.push_back(row.slot);
  return at::tensor(slots, at::kLong);
}

// What drawing a token for each row needs besides the logits, as parts of one upload.
class DrawInputs {
 public:
  DrawInputs(const std::vector<Row>& rows, kernels::Upload& upload)
      : upload_(upload), first_(upload.add(slots_of(rows))) {
    const auto params = params_of(rows);
    for (const auto* x : {&params.temperature, &params.top_k, &params.top_p, &params.uniform}) upload.add(*x);
  }
  // The parts on the device, once the upload has been sent.
  at::Tensor slots() const { return upload_[first_]; }
  kernels::SampleRows params() const {
    return {upload_[first_ + 1], upload_[first_ + 2], upload_[first_ + 3], upload_[first_ + 4]};
  }

 private:
  const kernels::Upload& upload_;
  const size_t first_;  // number of the first part; the parts have consecutive numbers
};

}  // namespace

DrawnTokens::DrawnTokens(const kernels::Sampled& sampled, int64_t rows)
    : tokens_({sampled.ids.narrow(0, 0, rows), sampled.log_probs.narrow(0, 0, rows)}) {}

ModelRunner::ModelRunner(const models::CausalLM& model, KvCache& cache, const Options& options)
    : model_(model),
      cache_(cache),
      options_(options),
      rotations_(model.rotations(options.max_tokens)),
      spare_pages_{cache.spare_page()},
      last_ids_(at::zeros({options.max_sequences + 1}, at::TensorOptions(model.device()).dtype(at::kLong))),
      planner_(kernels::plan_attention(attention_shape(cache), model.device(), /*page_capacity=*/0)) {}

kernels::AttentionShape ModelRunner::attention_shape(const KvCache& cache) const {
  const auto& config = model_.config();
  return {.heads = config.num_heads,
          .kv_heads = config.num_kv_heads,
          .head_dim = config.head_dim,
          .page_size = cache.page_size(),
          .dtype = model_.dtype(),
          .exact = options_.exact,
          .decode_kernel = options_.decode_kernel};
}

at::Tensor ModelRunner::last_hidden(const std::vector<NewTokens>& sequences) {
  const auto host = make_batch(sequences, cache_.page_size());
  kernels::Upload upload(model_.device(), /*in_place=*/false);
  const size_t ids = upload.add(host.ids), positions = upload.add(host.positions);
  const size_t last = upload.add(host.layout.query_offsets.slice(0, 1).to(at::kLong) - 1);
  const auto layout = planner_->plan(host.layout, upload);
  const auto hidden = model_.extend({.ids = upload[ids],
                                     .positions = upload[positions],
                                     .cos = rotations_.first,
                                     .sin = rotations_.second,
                                     .layout = layout},
                                    cache_.layers(), options_.exact);
  if (hidden.size(0) == static_cast<int64_t>(sequences.size())) return hidden;
  return hidden.index_select(0, upload[last]);
}

DrawnTokens ModelRunner::draw(const at::Tensor& logits, const std::vector<Row>& rows) {
  kernels::Upload upload(model_.device(), /*in_place=*/false);
  const DrawInputs inputs(rows, upload);
  upload.send();
  const auto sampled = kernels::sample_tokens(logits, inputs.params());
  last_ids_.index_copy_(0, inputs.slots(), sampled.ids);
  return {sampled, static_cast<int64_t>(rows.size())};
}

DrawnTokens ModelRunner::decode(const std::vector<Row>& rows) {
  const auto count = static_cast<int64_t>(rows.size());
  if (options_.padded) return {run_padded(rows), count};
  kernels::Upload upload(model_.device(), /*in_place=*/false);
  return {step(load(rows, *planner_, upload)), count};
}

void ModelRunner::set_last_token(int64_t slot, int64_t id) { last_ids_.narrow(0, slot, 1).fill_(id); }

ModelRunner::DecodeInputs ModelRunner::load(const std::vector<Row>& rows, kernels::AttentionPlanner& planner,
                                            kernels::Upload& upload) {
  std::vector<NewTokens> sequences;
  for (const Row& row : rows)
    sequences.push_back({.ids = nullptr, .count = 1, .cached = row.cached, .pages = row.pages});
  const auto host = make_batch(sequences, cache_.page_size());
  const size_t positions = upload.add(host.positions);
  const DrawInputs inputs(rows, upload);
  const auto layout = planner.plan(host.layout, upload);
  return {.batch = {.ids = {},
                    .positions = upload[positions],
                    .cos = rotations_.first,
                    .sin = rotations_.second,
                    .layout = layout},
          .slots = inputs.slots(),
          .params = inputs.params()};
}

kernels::Sampled ModelRunner::step(const DecodeInputs& inputs) {
  models::PagedBatch batch = inputs.batch;
  batch.ids = last_ids_.index_select(0, inputs.slots);
  const auto hidden = model_.extend(batch, cache_.layers(), options_.exact);
  auto sampled = kernels::sample_tokens(model_.logits(hidden, options_.exact), inputs.params);
  last_ids_.index_copy_(0, inputs.slots, sampled.ids);
  return sampled;
}

kernels::Sampled ModelRunner::run_padded(std::vector<Row> rows) {
  const auto sizes = graph_sizes(options_.max_sequences);
  const int64_t size = *std::lower_bound(sizes.begin(), sizes.end(), static_cast<int64_t>(rows.size()));
  rows.resize(static_cast<size_t>(size),
              {.slot = options_.max_sequences, .cached = 0, .pages = &spare_pages_, .params = {.temperature = 0.0}});
  const int64_t most_pages = size * ((options_.max_tokens + cache_.page_size() - 1) / cache_.page_size());
  Bucket& bucket = buckets_.try_emplace(size, attention_shape(cache_), model_.device(), most_pages).first->second;
  const auto inputs = load(rows, *bucket.planner, bucket.upload);
  const auto& schedule = inputs.batch.layout.schedule;
  const auto launch = schedule ? schedule->launch : std::vector<int64_t>();
  if (!options_.graphs || !bucket.warm) {
    bucket.warm = true;  // in a first pass without capturing, libraries allocate what they need
    return step(inputs);
  }
  if (!bucket.graph || bucket.launch != launch) {
    bucket.graph = kernels::capture_graph(model_.device(), [this, inputs, &bucket] { bucket.sampled = step(inputs); });
    bucket.launch = launch;
    ++num_recorded_;
  }
  bucket.graph->replay();
  return bucket.sampled;
}

}  // namespace grpo::rollout
