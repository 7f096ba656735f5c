#pragma once

#include <functional>
#include <string>

struct MHD_Daemon;

namespace grpo::metrics {

/// Serves one text at GET /metrics, from one thread with a stack of its own choosing. Whoever connects costs a bounded
/// amount of memory, descriptors and time: at most 64 connections, each with 32 KiB and 10 s; more wait in the kernel.
/// What is not a GET or HEAD of /metrics gets 404 or 405.
///
/// civetweb, which prometheus-cpp brings, gives its threads 100 KiB of stack. The thread-local variables of LibTorch
/// take 26 KiB of it, and any request that civetweb answers by itself overflows the rest.
class HttpEndpoint {
 public:
  /// address: PORT or HOST:PORT ([ADDRESS]:PORT for IPv6); without a host 127.0.0.1. page is called from the server's
  /// thread. Throws base::ConfigError when nothing can listen there.
  HttpEndpoint(const std::string& address, std::function<std::string()> page);
  ~HttpEndpoint();
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;

 private:
  std::function<std::string()> page_;
  MHD_Daemon* daemon_ = nullptr;
};

}  // namespace grpo::metrics
