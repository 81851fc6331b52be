// SPDX-License-Identifier: BSL-1.0
// Ctrl-C: the first one asks the walk to stop, a second one ends the program at once.
#pragma once

namespace tree_index {

/// From now on SIGINT and SIGTERM set a flag. Workers block signals, so the handler runs on the
/// main thread, which waits in block_on meanwhile.
void catch_interrupts();

/// Was the program asked to stop? Any thread; as cheap as reading a variable.
bool interrupted() noexcept;

}  // namespace tree_index
