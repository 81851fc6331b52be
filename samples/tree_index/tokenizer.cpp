// SPDX-License-Identifier: BSL-1.0
// Tokenizer: finding runs and judging them.
#include "tokenizer.hpp"

#include <algorithm>

namespace tree_index {

namespace {

bool in_run(char c) noexcept { return lower(c) != 0; }
bool is_letter(char c) noexcept { return lower(c) >= 'a'; }  // '_' and digits sort below 'a'

}  // namespace

void Tokenizer::feed(std::string_view chunk, WordTable& table) {
  const char* at = chunk.data();
  const char* const end = at + chunk.size();
  if (!kept_.empty()) {
    const char* const run_end = std::find_if_not(at, end, in_run);
    keep({at, run_end});
    if (run_end == end) return;
    finish(table);
    at = run_end;
  }
  while (true) {
    while (at != end && !in_run(*at)) ++at;
    const char* const run = at;
    while (at != end && in_run(*at)) ++at;
    if (at == end) return keep({run, end});
    count({run, at}, table);
  }
}

void Tokenizer::finish(WordTable& table) {
  count(kept_, table);
  kept_.clear();
}

void Tokenizer::keep(std::string_view run) {
  kept_.append(run.substr(0, Word::kLongest + 1 - kept_.size()));
}

void Tokenizer::count(std::string_view run, WordTable& table) {
  if (run.size() < Word::kShortest || run.size() > Word::kLongest || !is_letter(run[0])) return;
  table.add(Word(run));
  ++words_;
}

}  // namespace tree_index
