// Finding a tracepoint's number without a mounted tracefs: we make a mount of our own that is
// attached nowhere, so the host's mounts stay as they are (fsopen, 5.2).
#pragma once

#include <string>

namespace picket
{

class Tracefs
{
  public:
    Tracefs() = default;
    Tracefs(const Tracefs &) = delete;
    Tracefs &operator=(const Tracefs &) = delete;
    ~Tracefs();

    // Opens a perf event of "category/name". Returns a descriptor or a negative errno (-ENOENT:
    // this kernel has no such tracepoint).
    int open_event(const std::string &tracepoint);

  private:
    int root_ = -1;
};

} // namespace picket
