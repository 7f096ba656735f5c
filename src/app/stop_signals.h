#pragma once

namespace grpo::app {

/// handler is called with the number of each SIGINT, SIGTERM and SIGUSR1 this process gets from now on, on a thread of its
/// own that does nothing else; it may only do what a signal handler may.
///
/// No thread that computes may be interrupted by a signal: oneDNN's fp32 GEMM for AVX-512 points the stack pointer into a
/// buffer on the heap while it runs, so that a handler's frame overwrites what lies below the buffer (seen as glibc's
/// "corrupted size vs. prev_size" in one of twenty stopped evaluations on a busy machine). Call it before any thread is
/// started: threads inherit that these signals are blocked.
void handle_stop_signals(void (*handler)(int));

}  // namespace grpo::app
