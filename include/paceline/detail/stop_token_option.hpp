// SPDX-License-Identifier: BSL-1.0
// A std::stop_token inside an options aggregate.
//
// g++-12 copies the members of an aggregate temporary inside a co_await expression bit by bit and
// then destroys both copies, so `co_await spawn(t, {.stop_token = s.get_token()})` would release a
// plain std::stop_token twice. This holder remembers its own address: the bitwise copy may be read
// (the original lives to the end of the full expression) but does not own, so it does not release.
// Real copies and moves own as usual. Proof: tests/unit/api/spawn_options_test.cpp.
#pragma once

#include <new>
#include <stop_token>
#include <utility>

namespace paceline::detail {

class StopTokenOption {
 public:
  StopTokenOption() noexcept : owner_(this) { ::new (storage_) std::stop_token(); }
  StopTokenOption(std::stop_token token) noexcept : owner_(this) {  // NOLINT: implicit by design
    ::new (storage_) std::stop_token(std::move(token));
  }
  StopTokenOption(const StopTokenOption& other) noexcept : owner_(this) {
    ::new (storage_) std::stop_token(other.get());
  }
  StopTokenOption& operator=(const StopTokenOption& other) noexcept {
    if (this != &other) *stored() = other.get();
    return *this;
  }
  ~StopTokenOption() {
    if (owner_ == this) stored()->~stop_token();
  }

  const std::stop_token& get() const noexcept {
    return *std::launder(reinterpret_cast<const std::stop_token*>(storage_));
  }

 private:
  std::stop_token* stored() noexcept {
    return std::launder(reinterpret_cast<std::stop_token*>(storage_));
  }

  const void* owner_;
  alignas(std::stop_token) unsigned char storage_[sizeof(std::stop_token)];
};

}  // namespace paceline::detail
