#pragma once

// GRPO_ADDRESS_SANITIZER is defined where AddressSanitizer checks the program; GCC and Clang say so in different ways.
#if defined(__SANITIZE_ADDRESS__)
#define GRPO_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GRPO_ADDRESS_SANITIZER
#endif
#endif
