#include "rollout/model_runner.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <utility>

namespace grpo::rollout {
namespace {

// What drawing a token for each row needs besides the logits, as parts of one upload.
class DrawInputs {
 public:
  DrawInputs(const HostDraws& host, kernels::Upload& upload) : upload_(upload), first_(upload.add(host.slots)) {
    const auto& rows = host.rows;
    for (const auto* x : {&rows.temperature, &rows.top_k, &rows.top_p, &rows.uniform}) upload.add(*x);
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

DrawnTokens::DrawnTokens(const kernels::Sampled& sampled, int64_t rows) : here_(sampled) {
  if (!sampled.ids.is_cpu()) coming_.emplace({sampled.ids.narrow(0, 0, rows), sampled.log_probs.narrow(0, 0, rows)});
}

void DrawnTokens::wait() {
  if (!coming_) return;
  coming_->wait();
  here_ = {.ids = (*coming_)[0], .log_probs = (*coming_)[1]};
}

void HostDraws::set(const std::vector<Row>& drawn) {
  resize_host(slots, static_cast<int64_t>(drawn.size()), at::kLong);
  params_.clear();
  for (size_t i = 0; i < drawn.size(); ++i) {
    slots.mutable_data_ptr<int64_t>()[i] = drawn[i].slot;
    params_.push_back(drawn[i].params);
  }
  rows = kernels::sample_rows(params_, std::move(rows));
}

ModelRunner::ModelRunner(const models::CausalLM& model, KvCache& cache, const Options& options)
    : model_(model),
      cache_(cache),
      options_(options),
      rotations_(model.rotations(options.max_tokens)),
      spare_pages_{cache.spare_page()},
      last_ids_(at::zeros({options.max_sequences + 1}, at::TensorOptions(model.device()).dtype(at::kLong))),
      planner_(kernels::plan_attention(attention_shape(cache), model.device(), /*page_capacity=*/0)),
      upload_(model.device(), /*in_place=*/false) {}

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
  HostDraws host;
  host.set(rows);
  const DrawInputs inputs(host, upload);
  upload.send();
  const auto sampled = kernels::sample_tokens(logits, inputs.params());
  keep_last(inputs.slots(), sampled.ids);
  return {sampled, static_cast<int64_t>(rows.size())};
}

DrawnTokens ModelRunner::decode(const std::vector<Row>& rows) {
  const auto count = static_cast<int64_t>(rows.size());
  if (options_.padded) return {run_padded(rows), count};
  return {step(load(rows, *planner_, upload_)), count};
}

void ModelRunner::set_last_token(int64_t slot, int64_t id) { last_ids_.narrow(0, slot, 1).fill_(id); }

ModelRunner::DecodeInputs ModelRunner::load(const std::vector<Row>& rows, kernels::AttentionPlanner& planner,
                                            kernels::Upload& upload) {
  sequences_.clear();
  for (const Row& row : rows)
    sequences_.push_back({.ids = nullptr, .count = 1, .cached = row.cached, .pages = row.pages});
  set_batch(host_batch_, sequences_, cache_.page_size());
  host_draws_.set(rows);
  const size_t positions = upload.add(host_batch_.positions);
  const DrawInputs inputs(host_draws_, upload);
  const auto layout = planner.plan(host_batch_.layout, upload);
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
  batch.ids = last_of(inputs.slots);
  if (last_ids_.is_cpu() && !options_.exact) places_.prepare(model_.config(), model_.dtype(), batch.ids.size(0));
  const auto hidden = model_.extend(batch, cache_.layers(), options_.exact, places_);
  auto sampled = kernels::sample_tokens(model_.logits(hidden, options_.exact, places_.logits), inputs.params);
  keep_last(inputs.slots, sampled.ids);
  return sampled;
}

at::Tensor ModelRunner::last_of(const at::Tensor& slots) {
  if (!last_ids_.is_cpu()) return last_ids_.index_select(0, slots);
  resize_host(ids_, slots.size(0), at::kLong);
  for (int64_t i = 0; i < slots.size(0); ++i)
    ids_.mutable_data_ptr<int64_t>()[i] = last_ids_.const_data_ptr<int64_t>()[slots.const_data_ptr<int64_t>()[i]];
  return ids_;
}

void ModelRunner::keep_last(const at::Tensor& slots, const at::Tensor& ids) {
  if (!last_ids_.is_cpu()) {
    last_ids_.index_copy_(0, slots, ids);
    return;
  }
  for (int64_t i = 0; i < slots.size(0); ++i)
    last_ids_.mutable_data_ptr<int64_t>()[slots.const_data_ptr<int64_t>()[i]] = ids.const_data_ptr<int64_t>()[i];
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
