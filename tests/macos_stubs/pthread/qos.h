// SPDX-License-Identifier: BSL-1.0
// The few declarations of macOS that our code for it uses, so that every system compiles that code.
// The real ones stand in <pthread/qos.h> and <sys/qos.h>; the numbers are part of its ABI.
#pragma once

typedef unsigned int qos_class_t;

enum : qos_class_t {
  QOS_CLASS_USER_INTERACTIVE = 0x21,
  QOS_CLASS_USER_INITIATED = 0x19,
  QOS_CLASS_DEFAULT = 0x15,
  QOS_CLASS_UTILITY = 0x11,
  QOS_CLASS_BACKGROUND = 0x09,
  QOS_CLASS_UNSPECIFIED = 0x00,
};

extern "C" int pthread_set_qos_class_self_np(qos_class_t wanted, int relative_priority);
