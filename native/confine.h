// What a process that reads bytes of strangers gives up for good. For the uplink, once its code is
// loaded and before it hears anything.
#pragma once

#include <string>
#include <vector>

namespace picket
{

struct Confinement {
    // What holds now, in words.
    std::vector<std::string> holds;
    // What could not be had, and why.
    std::vector<std::string> problems;
};

// Empties the bounding set of the calling thread and those it starts, while it has the right to;
// but for what it takes to become somebody else, when that is still to be done. Returns a negative
// errno on failure.
int drop_bounding_set(bool keep_identity);

// Whether a thread of this process has a user or group id that is root's.
bool is_root();

// For the whole process, all of its threads. There is no way back. `with_parent`: the kernel ends
// it when the thread that started it has ended, which it cannot undo.
Confinement confine(bool with_parent);

} // namespace picket
