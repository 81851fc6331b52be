// SPDX-License-Identifier: BSL-1.0
// What do the cases of pacebench cost as goroutines? Needs no modules beyond Go 1.19 itself.
module peer

go 1.19
