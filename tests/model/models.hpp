// SPDX-License-Identifier: BSL-1.0
// The models there are.
#pragma once

#include <vector>

#include "explorer/model.hpp"

namespace model {

Model wake_model();
Model summary_model();
Model park_model();
Model mail_model();
Model steal_model();
Model join_model();
Model stay_model();
Model lending_model();
Model handoff_model();
Model demotion_model();
Model region_model();
Model frames_model();

const std::vector<Model>& all_models();

}  // namespace model
