#pragma once

#include <functional>
#include <string>

struct MHD_Daemon;

namespace grpo::metrics {

/// Serves one text at GET /metrics from a thread of its own. Clients can only use a bounded amount of memory,
/// descriptors and time: at most 64 connections with 32 KiB and 10 s each; further clients wait in the kernel. Other
/// paths get 404, methods other than GET and HEAD get 405.
///
/// The server is libmicrohttpd and not civetweb, which comes with prometheus-cpp: civetweb gives its threads
/// 100 KiB of stack, of which LibTorch's thread-local variables take 26 KiB, and any request that civetweb
/// answers by itself overflows the rest.
class HttpEndpoint {
 public:
  /// address: PORT or HOST:PORT ([ADDRESS]:PORT for IPv6); the host defaults to 127.0.0.1. `page` makes the text and is
  /// called from the server's thread. Throws base::ConfigError when nothing can listen there.
  HttpEndpoint(const std::string& address, std::function<std::string()> page);
  ~HttpEndpoint();
  HttpEndpoint(const HttpEndpoint&) = delete;
  HttpEndpoint& operator=(const HttpEndpoint&) = delete;

 private:
  std::function<std::string()> page_;
  MHD_Daemon* daemon_ = nullptr;
};

}  // namespace grpo::metrics
