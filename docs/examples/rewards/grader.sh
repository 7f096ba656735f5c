#!/bin/sh
# A grader in shell: 1 where the last line of the completion is the gold answer, else 0. jq (a package of that name) reads a call
# a line and writes an answer a line, without holding any back.
exec jq --unbuffered --compact-output \
  '{id: .id, reward: (if (.completion | rtrimstr("\n") | split("\n") | last) == .gold then 1 else 0 end)}'
