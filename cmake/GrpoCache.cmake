# The download cache outside the checkout: $GRPO_CACHE, else $XDG_CACHE_HOME/grpo-train, else ~/.cache/grpo-train.
if(DEFINED ENV{GRPO_CACHE})
  set(GRPO_CACHE $ENV{GRPO_CACHE})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(GRPO_CACHE $ENV{XDG_CACHE_HOME}/grpo-train)
else()
  set(GRPO_CACHE $ENV{HOME}/.cache/grpo-train)
endif()
