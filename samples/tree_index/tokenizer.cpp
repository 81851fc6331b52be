// SPDX-License-Identifier: BSL-1.0
// Tokenizer: finding runs, judging them, lower-casing them.
#include "tokenizer.hpp"

#include <algorithm>
#include <array>

namespace tree_index {

namespace {

/// For each byte its lower-case form if it can be part of a word, else 0.
constexpr std::array<char, 256> kLower = [] {
  std::array<char, 256> lower{};
  for (int c = '0'; c <= '9'; ++c) lower[static_cast<std::size_t>(c)] = static_cast<char>(c);
  for (int c = 'a'; c <= 'z'; ++c) lower[static_cast<std::size_t>(c)] = static_cast<char>(c);
  for (int c = 'A'; c <= 'Z'; ++c) {
    lower[static_cast<std::size_t>(c)] = static_cast<char>(c - 'A' + 'a');
  }
  lower['_'] = '_';
  return lower;
}();

char lower(char c) noexcept { return kLower[static_cast<unsigned char>(c)]; }
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
  kept_.append(run.substr(0, kLongestWord + 1 - kept_.size()));
}

void Tokenizer::count(std::string_view run, WordTable& table) {
  if (run.size() < kShortestWord || run.size() > kLongestWord || !is_letter(run[0])) return;
  std::array<char, kLongestWord> word;
  std::transform(run.begin(), run.end(), word.begin(), lower);
  table.add({word.data(), run.size()});
  ++words_;
}

}  // namespace tree_index
