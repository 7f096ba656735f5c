#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/io/parse_json.h"
#include "reward/grader_protocol.h"
#include "reward/http_grader.h"

namespace grpo::reward {
namespace {

constexpr size_t kMostBytes = 1 << 20;         // an answer may have this many bytes,
constexpr size_t kMostBytesOfReply = 1 << 16;  // and this many more for each reply in it
constexpr auto kBetweenTries = std::chrono::milliseconds(250);

using Easy = std::unique_ptr<CURL, decltype(&::curl_easy_cleanup)>;
using Headers = std::unique_ptr<curl_slist, decltype(&::curl_slist_free_all)>;

struct Body {
  std::string text;
  size_t most;
};

// libcurl's write callback. Returning anything but the whole size makes libcurl give up.
size_t append(char* bytes, size_t size, size_t count, void* to) {
  Body& body = *static_cast<Body*>(to);
  if (body.text.size() + size * count > body.most) return 0;
  body.text.append(bytes, size * count);
  return size * count;
}

class HttpGrader : public Grader {
 public:
  explicit HttpGrader(HttpOptions options) : options_(std::move(options)), post_(make_handle()) {
    headers_.reset(::curl_slist_append(nullptr, "Content-Type: application/json"));
    // From 1 MiB on libcurl would ask whether it may send the body, and wait a second where a server does not answer.
    headers_.reset(::curl_slist_append(headers_.release(), "Expect:"));
    set(post_, CURLOPT_HTTPHEADER, headers_.get());
    set(post_, CURLOPT_USERAGENT, "grpo-train");
    set(post_, CURLOPT_WRITEFUNCTION, &append);
    set(post_, CURLOPT_XFERINFOFUNCTION, &look);
    set(post_, CURLOPT_XFERINFODATA, this);
    set(post_, CURLOPT_NOPROGRESS, 0L);
  }

  void start() override {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(std::min(options_.timeout_s, 1e8));
    const Easy probe = make_handle();
    set(probe, CURLOPT_CONNECT_ONLY, 1L);
    for (bool first = true;; first = false) {
      const CURLcode code = ::curl_easy_perform(probe.get());
      if (code == CURLE_OK) return;
      const bool never = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
      if (never || std::chrono::steady_clock::now() >= end) {
        throw base::Error(
            base::concat(options_.url, ": ", text_of(code),
                         never ? "" : base::concat("; waited ", options_.timeout_s, " s (timeout_s) for it")));
      }
      if (first) base::log_info("waiting for " + options_.url + ": " + text_of(code));
      std::this_thread::sleep_for(kBetweenTries);
    }
  }

  std::string ask(std::span<Call> calls) override {
    WaitingCalls waiting(calls);
    std::string request = "[";
    for (const Call& call : calls) {
      if (!call.reply) request += (request.size() > 1 ? "," : "") + call.request;
    }
    request += "]";
    Body body{.text = {}, .most = kMostBytes + waiting.size() * kMostBytesOfReply};
    set(post_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.size()));
    set(post_, CURLOPT_POSTFIELDS, request.c_str());
    set(post_, CURLOPT_WRITEDATA, &body);
    const CURLcode code = ::curl_easy_perform(post_.get());
    if (code != CURLE_OK) return options_.url + ": " + failure_of(code, body.most);
    const std::string wrong = read(body.text, waiting);
    return wrong.empty() ? "" : options_.url + ": " + wrong;
  }

 private:
  // libcurl's progress callback, which it calls once a second at least. Returning anything but 0 makes it give up.
  static int look(void* grader, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<HttpGrader*>(grader)->cancelled() ? 1 : 0;
  }

  Easy make_handle() {
    Easy handle(::curl_easy_init(), &::curl_easy_cleanup);
    if (!handle) throw base::Error("libcurl cannot be initialised");
    set(handle, CURLOPT_URL, options_.url.c_str());
    set(handle, CURLOPT_NOSIGNAL, 1L);
    set(handle, CURLOPT_ERRORBUFFER, error_.data());
    set(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(std::clamp(options_.timeout_s * 1e3, 1.0, 1e9)));
#if LIBCURL_VERSION_NUM >= 0x075500
    set(handle, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    set(handle, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    return handle;
  }

  template <typename T>
  static void set(const Easy& handle, CURLoption option, T value) {
    const CURLcode code = ::curl_easy_setopt(handle.get(), option, value);
    GRPO_CHECK(code == CURLE_OK, ::curl_easy_strerror(code));
  }

  std::string text_of(CURLcode code) const { return error_[0] != 0 ? error_.data() : ::curl_easy_strerror(code); }

  std::string failure_of(CURLcode code, size_t most) const {
    if (code == CURLE_OPERATION_TIMEDOUT)
      return base::concat("no answer within ", options_.timeout_s, " s (timeout_s)");
    if (code == CURLE_WRITE_ERROR) return base::concat("it answered with more than ", most >> 10, " KiB");
    return text_of(code);
  }

  // Gives the replies in `text` to their calls. Returns what is wrong, or "".
  std::string read(const std::string& text, WaitingCalls& waiting) const {
    long status = 0;
    ::curl_easy_getinfo(post_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) return base::concat("it answered with status ", status, ": ", excerpt(text));
    try {
      const auto replies = io::parse_json(text, "");
      if (!replies.is_array()) return "it answered " + excerpt(text) + ", expected an array";
      for (const auto& reply : replies) {
        if (auto wrong = waiting.take(reply); !wrong.empty()) return wrong;
      }
    } catch (const base::IoError&) {
      return "it answered " + excerpt(text) + ", which is no JSON";
    }
    return waiting.empty() ? "" : base::concat("its array lacks the answers about ", waiting.size(), " completions");
  }

  const HttpOptions options_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  Easy post_;
  Headers headers_{nullptr, &::curl_slist_free_all};
};

}  // namespace

std::unique_ptr<Grader> make_http_grader(const HttpOptions& options) {
  static const CURLcode ready = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) throw base::Error(base::concat("libcurl: ", ::curl_easy_strerror(ready)));
  return std::make_unique<HttpGrader>(options);
}

}  // namespace grpo::reward
