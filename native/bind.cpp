// The module. What it takes and gives stands with its subjects.
#include "bind.h"

#include <cstdlib>
#include <string>

#include "pool.h"

namespace {

std::string listed() {
  std::string out;
  for (const char* name : instruction_sets()) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

// INCARNATE_ISA picks the instruction set; unset or empty, it is the best there is.
void obey_environment() {
  const char* name = std::getenv("INCARNATE_ISA");
  if (name && *name && !set_instruction_set(name))
    throw std::runtime_error("INCARNATE_ISA came as '" + std::string(name) +
                             "', and this machine and build have " + listed() +
                             "; set it to one of these, or unset it");
}

}  // namespace

NB_MODULE(_native, m) {
  obey_environment();
  nb::set_leak_warnings(false);  // Pictures alive at exit, as module globals, keep their frames.
  m.def("threads", &threads);
  m.def("set_threads", &set_threads);
  m.def("instruction_set", &instruction_set);
  m.def("instruction_sets", [] {
    nb::list names;
    for (const char* name : instruction_sets()) names.append(name);
    return names;
  });
  m.def("set_instruction_set", [](const char* name) {
    need(set_instruction_set(name), "this machine has no such instruction set");
  });
  bind_splat(m);
  bind_pictures(m);
  bind_body(m);
  bind_studio(m);
}
